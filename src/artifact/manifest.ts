import { z } from 'zod';
import { type Digest, digestSchema } from '../api/names.ts';
import { parsedBy } from '../api/parsed.ts';
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
export const legacyPathAnnotation = 'org.cnai.model.filepath';

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
  /** Where the content lies that the registry has not. */
  readonly urls?: readonly string[] | undefined;
};

export type Manifest = {
  readonly artifactType?: string | undefined;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>> | undefined;
};

const descriptor = z.object({
  mediaType: z.string().max(255),
  digest: digestSchema,
  size: z.int().min(0),
  annotations: z.record(z.string(), z.string()).optional(),
  urls: z.array(z.string()).optional(),
});

const schema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.enum([mediaTypes.manifest, mediaTypes.dockerManifest]).optional(),
  artifactType: z.string().max(255).optional(),
  config: descriptor,
  layers: z.array(descriptor),
  annotations: z.record(z.string(), z.string()).optional(),
});

const listed = z.object({
  digest: digestSchema,
  artifactType: z.string().optional(),
  platform: z.object({ os: z.string(), architecture: z.string() }).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const index = z.object({ manifests: z.array(z.unknown()) });

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

type Listed = z.infer<typeof listed>;

/** What builders put beside an image: where it came from, and what is in it. */
const isAttestation = ({ platform, annotations = {} }: Listed): boolean =>
  annotations['vnd.docker.reference.type'] === 'attestation-manifest' || platform?.os === 'unknown';

const artifactsIn = (value: unknown): readonly Listed[] =>
  (parsedBy(index, value).data?.manifests ?? [])
    .flatMap((entry) => parsedBy(listed, entry).data ?? [])
    .filter((entry) => !isAttestation(entry));

/** The one artifact of an index, as builders make it of a single image. Undefined of anything else. */
export const onlyArtifact = (bytes: Uint8Array): Digest | undefined => {
  try {
    const [first, ...more] = artifactsIn(parseJson(bytes, ''));
    return more.length === 0 ? first?.digest : undefined;
  } catch {
    // For `parseManifest` to refuse.
    return undefined;
  }
};

const maxListed = 5;

const indexError = (value: unknown, where: string): AdaptletError => {
  const entries = artifactsIn(value);
  const some = entries.slice(0, maxListed).map(({ digest, platform, artifactType }) => {
    const what = platform === undefined ? artifactType : `${platform.os}/${platform.architecture}`;
    return what === undefined ? digest : `${digest} (${quoteUntrusted(what)})`;
  });
  const rest = entries.length > maxListed ? ` and ${entries.length - maxListed} more` : '';
  const list = some.length === 0 ? '' : `: ${some.join(', ')}${rest}`;
  const what = `${where} is an index of ${entries.length} artifact${entries.length === 1 ? '' : 's'}${list}`;
  return new AdaptletError('ARTIFACT_INDEX', what);
};

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
  if (isIndex(value)) throw indexError(value, where);
  const parsed = parsedBy(schema, value, 'first');
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
