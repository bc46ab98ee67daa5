import { type ImageReference, parseReference } from '../../artifact/reference.ts';

/** Where the base model comes from. */
export type ModelSource =
  | { readonly kind: 'folder'; readonly folder: string }
  | {
      readonly kind: 'registry';
      /** As the setting names it, with `oci://`. */
      readonly url: string;
      readonly image: ImageReference;
    };

const scheme = 'oci://';

/** Whether a setting names a model of a registry. */
export const isInRegistry = (model: string): boolean => model.startsWith(scheme);

/**
 * Reads the setting `model`: `oci://registry/repository[:tag][@digest]`, else a folder.
 * @throws AdaptletError ARTIFACT_REFERENCE_INVALID
 */
export const modelSourceOf = (model: string): ModelSource =>
  isInRegistry(model)
    ? { kind: 'registry', url: model, image: parseReference(model.slice(scheme.length)) }
    : { kind: 'folder', folder: model };

/** What the base model is called when nobody says it: its folder, or its repository. */
export const modelNameOf = (source: ModelSource): string => {
  const path = source.kind === 'folder' ? source.folder : source.image.repository;
  return path.slice(path.lastIndexOf('/') + 1);
};
