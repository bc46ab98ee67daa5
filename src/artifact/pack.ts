import { type Dirent } from 'node:fs';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { adapterAnnotations, adapterFacts } from './adapter-facts.ts';
import { digestOf } from './digest.ts';
import type { DiskThread } from './disk-thread.ts';
import {
  type ArtifactLimits,
  type Descriptor,
  mediaTypes,
  pathAnnotation,
  titleAnnotation,
} from './manifest.ts';
import { type ModelFacts, modelPack } from './model-pack.ts';
import { parentsAnnotations, parentsFile } from './parents.ts';

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
/** Prompts that the adapter is for, a JSON text a line. */
const examplesFile = 'examples.jsonl';
/** As much as a node reads of an adapter_config.json. */
export const maxConfigBytes = 1 << 20;

/** What a file is to readers of ModelPack; the layers have this order. */
const roles = ['config', 'weight', 'doc', 'dataset'] as const;
type Role = (typeof roles)[number];

const typeOf: Readonly<Record<Role, string>> = {
  config: mediaTypes.weightConfig,
  weight: mediaTypes.weight,
  doc: mediaTypes.doc,
  dataset: mediaTypes.dataset,
};

const pickleName = /^adapter_model\.(bin|pt|pth|pkl|ckpt)$/;

/**
 * The files of an adapter: weights, configuration, tokenizer, templates, what people want to read, and examples of what it is
 * for. Anything else in the folder (checkpoints, other weights, data, hidden files, folders) is not part of it.
 */
const roleOf = (name: string): Role | undefined => {
  if (name.startsWith('.')) return undefined;
  if (name === weightsFile) return 'weight';
  if (name === examplesFile) return 'dataset';
  if (name === 'tokenizer.model' || /.\.(json|jinja)$/.test(name)) return 'config';
  return /.\.(md|txt)$|^(LICENSE|NOTICE|README)(\..+)?$/.test(name) ? 'doc' : undefined;
};

/** Whether a file of that name, at the top of a folder, is part of the adapter. */
export const isPackedName = (name: string): boolean => roleOf(name) !== undefined;

/** @throws AdaptletError ADAPTER_PICKLE */
export const refusePickle = (names: readonly string[], where: string): void => {
  const pickle = names.find((name) => pickleName.test(name));
  if (pickle !== undefined) throw new AdaptletError('ADAPTER_PICKLE', `${where} has ${pickle}`);
};

/** The configuration of the adapter comes first: some tools take parts by their place. */
const placeOf = (name: string): number => (name === configFile ? -1 : roles.indexOf(roleOf(name) ?? 'doc'));

/** Of one place by name, in code units: a locale would change the digest. */
const inOrder = (a: string, b: string): number => placeOf(a) - placeOf(b) || (a < b ? -1 : a > b ? 1 : 0);

const listFolder = async (folder: string): Promise<readonly Dirent[]> => {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    throw new AdaptletError('ARTIFACT_NOT_FOUND', `${folder} cannot be listed`, {
      advice: 'Check that the folder is there and may be read.',
      cause: error,
    });
  }
};

const filesOf = async (folder: string, limits: ArtifactLimits): Promise<readonly string[]> => {
  const entries = await listFolder(folder);
  refusePickle(
    entries.map((entry) => entry.name),
    folder,
  );
  const packed = entries.filter((entry) => isPackedName(entry.name) && !entry.isDirectory());
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
  return packed.map((entry) => entry.name).sort(inOrder);
};

/** An adapter in a folder: its files in the order of its layers, and what they say of it. */
export type AdapterFiles = {
  readonly files: readonly PackedFile[];
  readonly model: ModelFacts;
  readonly annotations: Readonly<Record<string, string>>;
};

type PackOptions = {
  readonly disk: Pick<DiskThread, 'hash' | 'weights'>;
  readonly limits: ArtifactLimits;
  readonly signal: AbortSignal;
};

/**
 * Looks at a PEFT folder. Everything that is found depends on the bytes and names of the files alone.
 * @throws AdaptletError ARTIFACT_NOT_FOUND, ARTIFACT_FILE_REFUSED, ARTIFACT_TOO_LARGE, ADAPTER_PICKLE
 */
export const adapterFiles = async (folder: string, options: PackOptions): Promise<AdapterFiles> => {
  const { disk, limits, signal } = options;
  const names = await filesOf(folder, limits);
  const sizes = await Promise.all(names.map(async (name) => (await lstat(join(folder, name))).size));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  if (total > limits.maxBytes) {
    throw new AdaptletError(
      'ARTIFACT_TOO_LARGE',
      `${folder} has ${total} bytes, the limit is ${limits.maxBytes}`,
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
    const { digest, size } = await disk.hash(path, signal);
    files.push({ name, path, mediaType: typeOf[roleOf(name) ?? 'doc'], digest, size });
  }
  const weights = names.includes(weightsFile)
    ? await disk.weights(join(folder, weightsFile), signal)
    : { parameters: 0 };
  const config = files.find(({ name, size }) => name === configFile && size <= maxConfigBytes);
  const facts = adapterFacts(config === undefined ? '' : await readFile(config.path, 'utf8'));
  return {
    files,
    model: { format: 'safetensors', ...weights },
    annotations: {
      ...adapterAnnotations(facts),
      ...(names.includes(parentsFile) ? await parentsAnnotations(folder) : {}),
    },
  };
};

/**
 * Packs a PEFT folder into an OCI image manifest in the form of a ModelPack: fixed order and media types, no times, no owners.
 * The same files have the same digest wherever they lie.
 * @throws AdaptletError as {@link adapterFiles}
 */
export const packFolder = async (folder: string, options: PackOptions): Promise<Packed> => {
  const { files, model, annotations } = await adapterFiles(folder, options);
  return packFiles(files, { ...modelPack(model, files), annotations });
};

/**
 * Packs files into an OCI image manifest, a layer each; one without a name is not annotated. The order of the files and all
 * texts are part of the digest.
 */
export const packFiles = (
  files: readonly PackedFile[],
  {
    artifactType,
    configType,
    config,
    annotations,
    pathKey = pathAnnotation,
  }: {
    readonly artifactType?: string;
    readonly configType: string;
    readonly config: Uint8Array;
    readonly annotations?: Readonly<Record<string, string>>;
    /** Under which annotation readers look for the name of a file, beside the title. */
    readonly pathKey?: string;
  },
): Packed => {
  const layers = files.map(
    ({ name, mediaType, digest, size }): Descriptor => ({
      mediaType,
      digest,
      size,
      ...(name === '' ? {} : { annotations: { [pathKey]: name, [titleAnnotation]: name } }),
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
