import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Digest } from '../../api/names.ts';
import { startDiskThread } from '../../artifact/disk-thread.ts';
import { layersOf } from '../../artifact/layers.ts';
import type { Descriptor } from '../../artifact/manifest.ts';
import type { ImageReference } from '../../artifact/reference.ts';
import type { Registry } from '../../artifact/registry.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { CheckedPlace } from './check-model.ts';
import { askForModel } from './fetch-model.ts';
import { readGraphFacts } from './graph-facts.ts';
import { describesModel, graphName } from './model-files.ts';

/** A model where it can be checked; `digest` is known of one in a registry. */
export type CheckSource = AsyncDisposable & {
  readonly place: CheckedPlace;
  readonly digest: Digest | undefined;
};

const fileSize = async (path: string): Promise<number | undefined> =>
  await stat(path).then(
    (found) => found.size,
    () => undefined,
  );

/** A folder as it lies there. */
export const folderSource = (folder: string): CheckSource => ({
  place: { folder, weightBytes: (name) => fileSize(join(resolve(folder), name)) },
  digest: undefined,
  [Symbol.asyncDispose]: async () => undefined,
});

type Named = { readonly name: string; readonly layer: Descriptor };

/** Names and layers of the files in the folder of the graph, and of those in its parent. */
const filesAround = (files: readonly Named[], where: string): readonly Named[] => {
  const graphs = files.filter(({ name }) => name === graphName || name.endsWith(`/${graphName}`));
  const [graph] = graphs;
  if (graph === undefined || graphs.length > 1) {
    throw new AdaptletError('MODEL_INVALID', `${where} has ${graphs.length} files named ${graphName}`, {
      advice: 'Push one base model an artifact.',
    });
  }
  const place = dirname(graph.name);
  const parent = dirname(place);
  return files.filter(({ name }) => [place, parent].some((at) => at === '.' || name.startsWith(`${at}/`)));
};

/**
 * The graph of a model in a registry and the files that describe it, in a folder of their own for as long as it is not disposed.
 * @throws AdaptletError those of registries and manifests; ARTIFACT_LAYER_UNKNOWN for archives
 */
export const registrySource = async (
  registry: Pick<Registry, 'manifest' | 'blob'>,
  image: ImageReference,
  signal: AbortSignal,
): Promise<CheckSource> => {
  const where = `${image.registry}/${image.repository}`;
  const { digest, manifest } = await askForModel(registry, image, where, signal);
  const contents = layersOf(manifest, where);
  const files = contents.flatMap((content) =>
    content.kind === 'file' ? [{ name: content.name, layer: content.layer }] : [],
  );
  if (files.length < contents.length) {
    throw new AdaptletError('ARTIFACT_LAYER_UNKNOWN', `${where} has its files in archives`, {
      advice: 'Fetch it with adaptlet model pull and check the folder.',
    });
  }
  const around = filesAround(files, where);
  const root = await mkdtemp(join(tmpdir(), 'adaptlet-check-'));
  const dispose = (): Promise<void> => rm(root, { recursive: true, force: true });
  try {
    const folder = await fetchSmall({ registry, image, signal, root, files: around });
    const sizes = new Map(around.map(({ name, layer }) => [join(root, name), layer.size]));
    return {
      place: { folder, weightBytes: async (name) => sizes.get(join(folder, name)) },
      digest,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
};

type Fetch = {
  readonly registry: Pick<Registry, 'blob'>;
  readonly image: ImageReference;
  readonly signal: AbortSignal;
  readonly root: string;
  readonly files: readonly Named[];
};

/** The graph first: it says which of the others are its weights. Resolves with its folder. */
const fetchSmall = async ({ registry, image, signal, root, files }: Fetch): Promise<string> => {
  await using disk = startDiskThread();
  const fetch = async ({ name, layer }: Named): Promise<string> => {
    const path = join(root, name);
    await mkdir(dirname(path), { recursive: true });
    await registry.blob(image, layer, { path, have: 0 }, signal, () => undefined);
    const { digest } = await disk.hash(path, signal);
    if (digest === layer.digest) return path;
    throw new AdaptletError('ARTIFACT_CORRUPT', `${name} came as ${digest}, not as ${layer.digest}`);
  };
  const [graph] = files.filter(({ name }) => name.split('/').at(-1) === graphName);
  if (graph === undefined) throw new AdaptletError('INTERNAL', `${graphName} is not there`);
  const path = await fetch(graph);
  const folder = dirname(path);
  const weights = new Set(readGraphFacts(path).weightFiles.map((name) => join(folder, name)));
  for (const file of files)
    if (describesModel(file.name) && !weights.has(join(root, file.name))) await fetch(file);
  return folder;
};
