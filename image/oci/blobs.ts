import { sha256 } from '../materials/cache.ts';
import { copied, type Entry, text } from '../rootfs/entry.ts';
import type { Layer } from './layer.ts';

export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  statement: 'application/vnd.in-toto+json',
} as const;

export type Descriptor = {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string; readonly os: string };
  readonly annotations?: Readonly<Record<string, string>>;
};

/** A document of an image, as text and as what refers to it. */
export type Document = { readonly descriptor: Descriptor; readonly content: string };

export const document = (mediaType: string, value: unknown): Document => {
  const content = JSON.stringify(value);
  return {
    content,
    descriptor: { mediaType, digest: `sha256:${sha256(content)}`, size: Buffer.byteLength(content) },
  };
};

const blobPath = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

export const layerDescriptor = ({ digest, size }: Layer): Descriptor => ({
  mediaType: mediaTypes.layer,
  digest,
  size,
});

/** Files of an OCI layout: blobs, and the index that leads to them. */
export const layoutEntries = (
  documents: readonly Document[],
  layers: readonly Layer[],
  roots: readonly Descriptor[],
): readonly Entry[] => [
  text('oci-layout', JSON.stringify({ imageLayoutVersion: '1.0.0' })),
  text('index.json', JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: roots })),
  ...documents.map(({ descriptor, content }) => text(blobPath(descriptor.digest), content)),
  ...layers.map(({ digest, file }) => copied(blobPath(digest), file)),
];

/** The list of images that `docker load` and `crane push` read of an archive, beside the layout. */
export const dockerEntry = (config: Descriptor, layers: readonly Layer[], name: string): Entry =>
  text(
    'manifest.json',
    JSON.stringify([
      {
        Config: blobPath(config.digest),
        RepoTags: [name],
        Layers: layers.map(({ digest }) => blobPath(digest)),
      },
    ]),
  );
