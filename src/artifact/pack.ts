import { type Dirent } from 'node:fs';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { digestOf } from './digest.ts';
import type { DiskThread } from './disk-thread.ts';
import {
  type ArtifactLimits,
  type Descriptor,
  mediaTypes,
  pathAnnotation,
  titleAnnotation,
} from './manifest.ts';

/** A folder as an artifact: the manifest's bytes, and where each blob's bytes are. */
export type Packed = {
  readonly digest: Digest;
  readonly manifest: Uint8Array;
  readonly blobs: ReadonlyMap<Digest, PackedBlob>;
  readonly bytes: number;
};

export type PackedBlob = { readonly size: number } & (
  | { readonly path: string }
  | { readonly bytes: Uint8Array }
);

/** A file under the name that it has in an artifact. */
export type PackedFile = {
  readonly name: string;
  readonly path: string;
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
};

export const configFile = 'adapter_config.json';
export const weightsFile = 'adapter_model.safetensors';

/**
 * The files of an adapter: weights, configuration, tokenizer, templates and what a reader wants to know. Anything else
 * in the folder (checkpoints, optimizer states, hidden files, folders) is not part of it.
 */
const packedName =
  /^(?!\.)(.+\.(json|txt|jinja|safetensors|md)|tokenizer\.model|(LICENSE|NOTICE|README)(\..+)?)$/;
const pickleName = /^adapter_model\.(bin|pt|pth|pkl|ckpt)$/;

const mediaTypeOf = (name: string): string => {
  if (name.endsWith('.safetensors')) return mediaTypes.weight;
  return /\.(json|jinja|model)$/.test(name) ? mediaTypes.weightConfig : mediaTypes.doc;
};

/** Code units, not a locale: the order is part of the digest. */
const byName = (a: Dirent, b: Dirent): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

const listFolder = async (folder: string): Promise<readonly Dirent[]> => {
  try {
    return (await readdir(folder, { withFileTypes: true })).sort(byName);
  } catch (error) {
    throw new AdaptletError('ARTIFACT_NOT_FOUND', `${folder} cannot be listed`, {
      advice: 'Check that the folder is there and may be read.',
      cause: error,
    });
  }
};

const filesOf = async (folder: string, limits: ArtifactLimits): Promise<readonly string[]> => {
  const entries = await listFolder(folder);
  const pickle = entries.find((entry) => pickleName.test(entry.name));
  if (pickle !== undefined) throw new AdaptletError('ADAPTER_PICKLE', `${folder} has ${pickle.name}`);
  const packed = entries.filter((entry) => packedName.test(entry.name) && !entry.isDirectory());
  const odd = packed.find((entry) => !entry.isFile());
  if (odd !== undefined) {
    throw new AdaptletError(
      'ARTIFACT_FILE_REFUSED',
      `${folder}: ${quoteUntrusted(odd.name)} is a link or no regular file`,
    );
  }
  if (packed.length > limits.maxFiles) {
    throw new AdaptletError(
      'ARTIFACT_TOO_LARGE',
      `${folder} has ${packed.length} files, the limit is ${limits.maxFiles}`,
    );
  }
  return packed.map((entry) => entry.name);
};

/** What adapter_config.json says of an adapter to somebody who has not the weights. */
export type AdapterFacts = {
  readonly format: 'peft';
  readonly baseModel?: string;
  readonly rank?: number;
  readonly targets?: string | readonly string[];
  readonly task?: string;
};

/** Of the text of an adapter_config.json. One that cannot be read says nothing: to refuse it is for the compiler. */
export const adapterFacts = (text: string): AdapterFacts => {
  let fields: Readonly<Record<string, unknown>> = {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) fields = { ...value };
  } catch {
    fields = {};
  }
  const { base_model_name_or_path: baseModel, r: rank, target_modules: targets, task_type: task } = fields;
  return {
    format: 'peft',
    ...(typeof baseModel === 'string' ? { baseModel } : {}),
    ...(typeof rank === 'number' ? { rank } : {}),
    ...(Array.isArray(targets) ? { targets: targets.filter((each) => typeof each === 'string').sort() } : {}),
    ...(typeof targets === 'string' ? { targets } : {}),
    ...(typeof task === 'string' ? { task } : {}),
  };
};

/**
 * What a reader of the registry sees without the weights. Taken from adapter_config.json alone, so that the digest
 * depends on nothing but the files.
 */
const describe = async (folder: string): Promise<Uint8Array> =>
  Buffer.from(
    JSON.stringify(adapterFacts(await readFile(join(folder, configFile), 'utf8').catch(() => '{}'))),
  );

/**
 * Packs a PEFT folder into an OCI image manifest: entries sorted by name, fixed media types, no times, no owners. The
 * same files have the same digest wherever they lie.
 *
 * @throws AdaptletError ARTIFACT_NOT_FOUND, ARTIFACT_FILE_REFUSED, ARTIFACT_TOO_LARGE, ADAPTER_PICKLE
 */
export const packFolder = async (
  folder: string,
  options: { readonly disk: DiskThread; readonly limits: ArtifactLimits; readonly signal: AbortSignal },
): Promise<Packed> => {
  const names = await filesOf(folder, options.limits);
  const sizes = await Promise.all(names.map(async (name) => (await lstat(join(folder, name))).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total > options.limits.maxBytes) {
    throw new AdaptletError(
      'ARTIFACT_TOO_LARGE',
      `${folder} has ${total} bytes, the limit is ${options.limits.maxBytes}`,
    );
  }
  if (!names.includes(weightsFile) && !names.includes(configFile)) {
    throw new AdaptletError('ARTIFACT_NOT_FOUND', `${folder} has neither ${configFile} nor ${weightsFile}`, {
      advice: 'Name the folder that PEFT saved the adapter to.',
    });
  }
  const files: PackedFile[] = [];
  for (const name of names) {
    const path = join(folder, name);
    const { digest, size } = await options.disk.hash(path, options.signal);
    files.push({ name, path, mediaType: mediaTypeOf(name), digest, size });
  }
  const config = await describe(folder);
  return packFiles(files, { artifactType: mediaTypes.artifact, configType: mediaTypes.config, config });
};

/** Packs files into an OCI image manifest, a layer each. The order of the files and all texts are part of the digest. */
export const packFiles = (
  files: readonly PackedFile[],
  {
    artifactType,
    configType,
    config,
    annotations,
  }: {
    readonly artifactType: string;
    readonly configType: string;
    readonly config: Uint8Array;
    readonly annotations?: Readonly<Record<string, string>>;
  },
): Packed => {
  const layers = files.map(
    ({ name, mediaType, digest, size }): Descriptor => ({
      mediaType,
      digest,
      size,
      annotations: { [pathAnnotation]: name, [titleAnnotation]: name },
    }),
  );
  const configLayer = { mediaType: configType, digest: digestOf(config), size: config.length };
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.manifest,
      artifactType,
      config: configLayer,
      layers,
      annotations,
    }),
  );
  const blobs = new Map<Digest, PackedBlob>([
    [configLayer.digest, { size: config.length, bytes: config }],
    ...files.map(({ digest, size, path }) => [digest, { size, path }] as const),
  ]);
  const bytes = files.reduce((sum, { size }) => sum + size, config.length);
  return { digest: digestOf(manifest), manifest, blobs, bytes };
};
