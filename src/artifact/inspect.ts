import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { type AdapterFacts, adapterFacts } from './adapter-facts.ts';
import { refuseOther } from './adapter-folder.ts';
import type { DiskThread } from './disk-thread.ts';
import { type Form, formOf } from './forms.ts';
import { layersOf } from './layers.ts';
import { defaultLimits, parseManifest, totalBytes } from './manifest.ts';
import { askFor, placeOf } from './offer.ts';
import { configFile, maxConfigBytes, packFolder } from './pack.ts';
import type { ImageReference } from './reference.ts';
import type { Registry } from './registry.ts';

/** What can be said of an adapter without its weights. */
export type Inspection = {
  /** Of its OCI manifest. */
  readonly digest: Digest;
  /** What made it. */
  readonly form: Form;
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

const inspectionOf = (bytes: Uint8Array, digest: Digest, where: string) => {
  const manifest = parseManifest(bytes, defaultLimits, where);
  const { artifactType, annotations = {} } = manifest;
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
  const form = formOf(manifest);
  return { config, found: { digest, form, artifactType, bytes: totalBytes(manifest), files, annotations } };
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
