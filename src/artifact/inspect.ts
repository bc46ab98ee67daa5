import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import type { DiskThread } from './disk-thread.ts';
import { layersOf } from './layers.ts';
import { defaultLimits, type Manifest, parseManifest, totalBytes } from './manifest.ts';
import { askFor, placeOf } from './offer.ts';
import { type AdapterFacts, adapterFacts, configFile, packFolder, weightsFile } from './pack.ts';
import type { ImageReference } from './reference.ts';
import type { Registry } from './registry.ts';

/** What can be said of an adapter without its weights. */
export type Inspection = {
  /** Of its OCI manifest. */
  readonly digest: Digest;
  readonly artifactType?: string | undefined;
  /** Of all blobs. */
  readonly bytes: number;
  /** Absent where the configuration lies in an archive. */
  readonly adapter?: AdapterFacts | undefined;
  /** Layers; an archive has no name. */
  readonly files: readonly {
    readonly name?: string;
    readonly size: number;
    readonly digest: Digest;
    readonly mediaType: string;
  }[];
  /** Of the manifest. */
  readonly annotations: Readonly<Record<string, string>>;
};

/** As much as a node reads of an adapter_config.json. */
const maxConfigBytes = 1 << 20;

const headSchema = z.object({
  artifactType: z.string().optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});

/**
 * Refuses what is no adapter, as far as the names of its files say so.
 * @throws AdaptletError ARTIFACT_NOT_FOUND
 */
export const refuseOther = (manifest: Manifest, where: string): void => {
  const contents = layersOf(manifest, where);
  const isAdapter = contents.some(
    (content) => content.kind === 'archive' || [configFile, weightsFile].includes(basename(content.name)),
  );
  if (isAdapter) return;
  throw new AdaptletError('ARTIFACT_NOT_FOUND', `${where} has neither ${configFile} nor ${weightsFile}`, {
    advice: 'Name the artifact of an adapter; base models are pulled by adaptlet model pull.',
  });
};

/** @throws AdaptletError ARTIFACT_MANIFEST_INVALID */
const headOf = (bytes: Uint8Array, where: string): z.infer<typeof headSchema> => {
  const head = headSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
  if (head.success) return head.data;
  const [issue] = head.error.issues;
  throw new AdaptletError(
    'ARTIFACT_MANIFEST_INVALID',
    `${where}: ${quoteUntrusted(issue?.path.join('.') ?? '')}: ${issue?.message ?? 'not valid'}`,
    { cause: head.error },
  );
};

const inspectionOf = (bytes: Uint8Array, digest: Digest, where: string) => {
  const manifest = parseManifest(bytes, defaultLimits, where);
  const { artifactType, annotations = {} } = headOf(bytes, where);
  const contents = layersOf(manifest, where);
  const files = contents.map((content) => ({
    ...(content.kind === 'file' ? { name: content.name } : {}),
    size: content.layer.size,
    digest: content.layer.digest,
    mediaType: content.layer.mediaType,
  }));
  const config = contents.find(
    (content) => content.kind === 'file' && basename(content.name) === configFile,
  )?.layer;
  return { config, found: { digest, artifactType, bytes: totalBytes(manifest), files, annotations } };
};

/**
 * What a registry has under a reference. Read are the manifest and adapter_config.json, not the weights.
 * @throws AdaptletError those of registries and manifests; ARTIFACT_NOT_FOUND where it is no adapter
 */
export const inspectImage = async (
  registry: Pick<Registry, 'manifest' | 'small'>,
  image: ImageReference,
  signal: AbortSignal,
): Promise<Inspection> => {
  const where = placeOf(image);
  const offer = await askFor(registry, image, { limits: defaultLimits, where, signal });
  refuseOther(offer.manifest, where);
  const { config, found } = inspectionOf(offer.bytes, offer.digest, where);
  if (config === undefined) return found;
  const bytes = await registry.small(image, config, maxConfigBytes, signal);
  return { ...found, adapter: adapterFacts(Buffer.from(bytes).toString('utf8')) };
};

/**
 * The same of a folder, as `push` would send it.
 * @throws AdaptletError those of {@link packFolder}
 */
export const inspectFolder = async (
  folder: string,
  disk: DiskThread,
  signal: AbortSignal,
): Promise<Inspection> => {
  const { manifest, digest } = await packFolder(folder, { disk, limits: defaultLimits, signal });
  const { config, found } = inspectionOf(manifest, digest, folder);
  if (config === undefined) return found;
  return { ...found, adapter: adapterFacts(await readFile(join(folder, configFile), 'utf8')) };
};
