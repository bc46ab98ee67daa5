import { z } from 'zod';
import { type Digest, digestSchema } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';

/** Media types that Adaptlet writes and reads. */
export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  /** CNCF ModelPack (https://github.com/modelpack/model-spec). */
  model: 'application/vnd.cncf.model.manifest.v1+json',
  modelConfig: 'application/vnd.cncf.model.config.v1+json',
  weight: 'application/vnd.cncf.model.weight.v1.raw',
  weightConfig: 'application/vnd.cncf.model.weight.config.v1.raw',
  doc: 'application/vnd.cncf.model.doc.v1.raw',
  dataset: 'application/vnd.cncf.model.dataset.v1.raw',
} as const;

/** Annotations that name the file of a layer: the OCI one that oras writes, and ModelPack's. */
export const titleAnnotation = 'org.opencontainers.image.title';
export const pathAnnotation = 'org.cncf.model.filepath';

/** What a runtime takes at most. */
export type ArtifactLimits = {
  /** Bytes of all blobs of an artifact, and of all files that its archives unpack to. */
  readonly maxBytes: number;
  readonly maxLayers: number;
  readonly maxFiles: number;
};
export const defaultLimits: ArtifactLimits = { maxBytes: 4 * 1024 ** 3, maxLayers: 128, maxFiles: 512 };
/** The distribution project's own limit. */
export const maxManifestBytes = 4 * 1024 * 1024;

export type Descriptor = {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
};

export type Manifest = { readonly config: Descriptor; readonly layers: readonly Descriptor[] };

const descriptor = z.object({
  mediaType: z.string().max(255),
  digest: digestSchema,
  size: z.int().min(0),
  annotations: z.record(z.string(), z.string()).optional(),
});

const schema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.enum([mediaTypes.manifest, mediaTypes.dockerManifest]).optional(),
  config: descriptor,
  layers: z.array(descriptor),
});

const parseJson = (bytes: Uint8Array, where: string): unknown => {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new AdaptletError('ARTIFACT_MANIFEST_INVALID', `${where}: the manifest is not JSON`, {
      cause: error,
    });
  }
};

const isIndex = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  ('manifests' in value ||
    ('mediaType' in value &&
      (value.mediaType === mediaTypes.index || value.mediaType === mediaTypes.dockerList)));

/** Every blob once; the same content may be two layers. */
export const blobsOf = (manifest: Manifest): readonly Descriptor[] => [
  ...new Map([manifest.config, ...manifest.layers].map((d) => [d.digest, d])).values(),
];

export const totalBytes = (manifest: Manifest): number =>
  blobsOf(manifest).reduce((sum, d) => sum + d.size, 0);

const checkLimits = (manifest: Manifest, limits: ArtifactLimits, where: string): void => {
  const bytes = totalBytes(manifest);
  const over =
    manifest.layers.length > limits.maxLayers
      ? `${manifest.layers.length} layers, the limit is ${limits.maxLayers}`
      : bytes > limits.maxBytes
        ? `${bytes} bytes, the limit is ${limits.maxBytes}`
        : undefined;
  if (over !== undefined) throw new AdaptletError('ARTIFACT_TOO_LARGE', `${where} has ${over}`);
};

/**
 * Reads an OCI image manifest. `where` names the artifact in messages.
 * @throws AdaptletError ARTIFACT_INDEX, ARTIFACT_MANIFEST_INVALID, ARTIFACT_TOO_LARGE
 */
export const parseManifest = (bytes: Uint8Array, limits: ArtifactLimits, where: string): Manifest => {
  if (bytes.length > maxManifestBytes) {
    throw new AdaptletError('ARTIFACT_TOO_LARGE', `${where} has a manifest of ${bytes.length} bytes`);
  }
  const value = parseJson(bytes, where);
  if (isIndex(value)) throw new AdaptletError('ARTIFACT_INDEX', `${where} is an index`);
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new AdaptletError(
      'ARTIFACT_MANIFEST_INVALID',
      `${where}: ${quoteUntrusted(issue?.path.join('.') ?? '')}: ${issue?.message ?? 'not valid'}`,
      { cause: parsed.error },
    );
  }
  checkLimits(parsed.data, limits, where);
  return parsed.data;
};
