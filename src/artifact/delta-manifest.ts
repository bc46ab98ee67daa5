import { z } from 'zod';
import { type Digest, digestSchema } from '../api/names.ts';
import { parsedBy } from '../api/parsed.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { digestOf } from './digest.ts';
import { type Descriptor, mediaTypes, titleAnnotation } from './manifest.ts';
import type { Packed, PackedBlob } from './pack.ts';

/** Type of the artifact and of its config: some registries give the second as the first. */
export const deltaType = 'application/vnd.adaptlet.delta.v1';
const layerType = 'application/vnd.adaptlet.delta.layer.v1';

/** Of the manifest and of its entry in an index: the digest of the artifact that is needed; of a layer: that of the file. */
export const fromAnnotation = 'adaptlet.io/delta-from';
/** Of a layer: digest of the file that it makes. */
export const toAnnotation = 'adaptlet.io/delta-to';

/** As much as the manifest of a delta may have: it has a layer for each weights file. */
export const maxDeltaManifestBytes = 64 * 1024;
const maxLayers = 128;

/** One file as a delta to another. */
export type DeltaLayer = Descriptor & {
  /** Digests of the files, blobs of the artifacts. */
  readonly from: Digest;
  readonly to: Digest;
};

export type DeltaManifest = {
  /** Digests of the manifests. */
  readonly from: Digest;
  readonly subject: Digest;
  readonly layers: readonly DeltaLayer[];
};

const layer = z.object({
  mediaType: z.literal(layerType),
  digest: digestSchema,
  size: z.int().min(1),
  annotations: z.object({ [fromAnnotation]: digestSchema, [toAnnotation]: digestSchema }),
});
const schema = z.object({
  schemaVersion: z.literal(2),
  // Some registries lose the type of the artifact.
  config: z.object({ mediaType: z.literal(deltaType) }),
  subject: z.object({ digest: digestSchema }),
  layers: z.array(z.unknown()).min(1).max(maxLayers),
  annotations: z.object({ [fromAnnotation]: digestSchema }),
});

/** @throws AdaptletError DELTA_INVALID */
export const parseDeltaManifest = (bytes: Uint8Array, where: string): DeltaManifest => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new AdaptletError('DELTA_INVALID', `${where} is not JSON`, { cause: error });
  }
  const { data } = parsedBy(schema, value);
  if (data === undefined) throw new AdaptletError('DELTA_INVALID', `${where} is no manifest of a delta`);
  const { subject, annotations } = data;
  const layers = data.layers.map((entry, i) => {
    const read = parsedBy(layer, entry);
    if (!read.success) throw new AdaptletError('DELTA_INVALID', `layer ${i} of ${where} is no delta`);
    const { annotations: of, ...descriptor } = read.data;
    return { ...descriptor, from: of[fromAnnotation], to: of[toAnnotation] };
  });
  return { from: annotations[fromAnnotation], subject: subject.digest, layers };
};

/** A file with a delta, by what it makes. */
export type DeltaFile = Pick<DeltaLayer, 'digest' | 'size' | 'from' | 'to'> & {
  readonly path: string;
  /** Of the file that it makes. */
  readonly name: string;
};

/** Deltas between the files of two artifacts, as one that refers to the second. */
export const packDelta = (
  from: Digest,
  subject: { readonly digest: Digest; readonly size: number },
  files: readonly DeltaFile[],
): Packed => {
  const config = Buffer.from('{}');
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      artifactType: deltaType,
      config: { mediaType: deltaType, digest: digestOf(config), size: config.length },
      layers: files.map(({ digest, size, name, ...file }) => ({
        mediaType: layerType,
        digest,
        size,
        annotations: {
          [titleAnnotation]: `${name}.delta`,
          [fromAnnotation]: file.from,
          [toAnnotation]: file.to,
        },
      })),
      subject: { mediaType: mediaTypes.manifest, ...subject },
      annotations: { [fromAnnotation]: from },
    }),
  );
  return {
    digest: digestOf(manifest),
    manifest,
    blobs: new Map<Digest, PackedBlob>([
      [digestOf(config), { size: config.length, bytes: config }],
      ...files.map(({ digest, size, path }) => [digest, { size, path }] as const),
    ]),
    bytes: files.reduce((sum, { size }) => sum + size, config.length),
  };
};
