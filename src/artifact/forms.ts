import { type Descriptor, type Manifest, titleAnnotation } from './manifest.ts';

/**
 * What made an artifact, for people and for how its layers are named. Its adapter is found by the names of files, never by this.
 */
export type Form =
  | 'ModelPack'
  | 'ModelPack of the time before CNCF'
  | 'ModelKit'
  | 'docker model'
  | 'Ollama model'
  | 'image'
  | 'files';

const prefixes: readonly (readonly [string, Form])[] = [
  ['application/vnd.cncf.model.', 'ModelPack'],
  ['application/vnd.cnai.model.', 'ModelPack of the time before CNCF'],
  ['application/vnd.kitops.modelkit.', 'ModelKit'],
  ['application/vnd.docker.ai.', 'docker model'],
  ['application/vnd.ollama.', 'Ollama model'],
];

const formOfType = (mediaType: string): Form | undefined =>
  prefixes.find(([prefix]) => mediaType.startsWith(prefix))?.[1];

/** Layers of these say by their type whether they are archives; of others it is their title that says so. */
export const isTyped = (mediaType: string): boolean =>
  ['ModelPack', 'ModelPack of the time before CNCF', 'ModelKit'].includes(formOfType(mediaType) ?? '');

const imageConfigs = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
];
const imageLayer = /^application\/vnd\.(oci\.image\.layer\.|docker\.image\.rootfs\.)/;

const isTitled = ({ annotations = {} }: Descriptor): boolean => annotations[titleAnnotation] !== undefined;

/** By the type of the artifact, else of its configuration: some registries drop the first. */
export const formOf = ({ artifactType = '', config, layers }: Manifest): Form => {
  const form = formOfType(artifactType) ?? formOfType(config.mediaType);
  if (form !== undefined) return form;
  if (layers.some(({ mediaType }) => formOfType(mediaType) === 'Ollama model')) return 'Ollama model';
  const isImage =
    imageConfigs.includes(config.mediaType) &&
    // A layer with a title is a file of oras, also beside the configuration of an image.
    layers.every((layer) => imageLayer.test(layer.mediaType) && !isTitled(layer));
  return isImage ? 'image' : 'files';
};
