import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { safeName } from './file-name.ts';
import { formOf, isTyped } from './forms.ts';
import {
  type Descriptor,
  legacyPathAnnotation,
  type Manifest,
  pathAnnotation,
  titleAnnotation,
} from './manifest.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

/** What a layer is: one file under its name, or an archive of several. */
export type LayerContent =
  | { readonly kind: 'file'; readonly layer: Descriptor; readonly name: string }
  | { readonly kind: 'archive'; readonly layer: Descriptor; readonly compression: Compression };

/** oras packs a folder into one layer and says so. */
const unpackAnnotation = 'io.deis.oras.content.unpack';
const archiveType = /[.+]tar(?:[.+](gzip|zstd))?$/;

const compressionOf = (mediaType: string): Compression | undefined => {
  const match = archiveType.exec(mediaType);
  if (match === null) return undefined;
  return match[1] === 'gzip' || match[1] === 'zstd' ? match[1] : 'none';
};

/** Layers that nobody can read who has the artifact alone, by their types. */
const outOfReach: readonly (readonly [RegExp, string])[] = [
  [/\+encrypted$/, 'is encrypted'],
  [/nondistributable|\.foreign\./, 'lies outside of the registry'],
];

/** Forms of adapters that no file of PEFT is in, by the types of their layers. */
const otherAdapters: readonly (readonly [RegExp, string])[] = [
  [/^application\/vnd\.ollama\./, 'an Ollama model, whose adapters are GGUF'],
  [/gguf/, 'a GGUF file'],
];

const peftAdvice =
  'GGUF is not read. Push the folder that PEFT saved, by adaptlet push or oras; of a base model its ONNX folder.';

export const ggufError = (what: string): AdaptletError =>
  new AdaptletError('ARTIFACT_FORMAT', what, { advice: peftAdvice });

const refuseOutOfReach = ({ mediaType, urls = [] }: Descriptor, where: string): void => {
  const why =
    urls.length > 0 ? 'lies outside of the registry' : outOfReach.find(([type]) => type.test(mediaType))?.[1];
  if (why === undefined) return;
  throw new AdaptletError('ARTIFACT_FORMAT', `a layer of ${where}, ${quoteUntrusted(mediaType)}, ${why}`, {
    advice: 'Push the files as layers of their own, neither encrypted nor foreign.',
  });
};

const contentOf = (layer: Descriptor, isImage: boolean, where: string): LayerContent => {
  refuseOutOfReach(layer, where);
  const { mediaType, annotations = {} } = layer;
  const title = annotations[titleAnnotation];
  const name = annotations[pathAnnotation] ?? annotations[legacyPathAnnotation] ?? title;
  const compression = compressionOf(mediaType);
  // oras gives plain files the media type of an archive too: there the title, not the type, says what it is.
  const isArchive =
    isImage || isTyped(mediaType)
      ? compression !== undefined
      : annotations[unpackAnnotation] === 'true' || (title === undefined && compression !== undefined);
  if (isArchive) return { kind: 'archive', layer, compression: compression ?? 'gzip' };
  if (name !== undefined) return { kind: 'file', layer, name: safeName(name, where) };
  const other = otherAdapters.find(([type]) => type.test(mediaType))?.[1];
  if (other !== undefined) throw ggufError(`${where} is ${other}`);
  throw new AdaptletError(
    'ARTIFACT_LAYER_UNKNOWN',
    `${where} has a layer of type ${quoteUntrusted(mediaType)} without a name`,
  );
};

/**
 * Reads the layers of artifacts of this project, of oras, of ModelPack tools, of kit and docker, of images, and archives.
 * @throws AdaptletError ARTIFACT_LAYER_UNKNOWN, ARTIFACT_FILE_REFUSED, ARTIFACT_FORMAT
 */
export const layersOf = (manifest: Manifest, where: string): readonly LayerContent[] => {
  const isImage = formOf(manifest) === 'image';
  const contents = manifest.layers.map((layer) => contentOf(layer, isImage, where));
  const names = new Set<string>();
  for (const content of contents) {
    if (content.kind !== 'file') continue;
    if (names.has(content.name)) {
      throw new AdaptletError(
        'ARTIFACT_FILE_REFUSED',
        `${where} has the file ${quoteUntrusted(content.name)} twice`,
      );
    }
    names.add(content.name);
  }
  return contents;
};
