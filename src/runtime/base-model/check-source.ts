import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Digest } from '../../api/names.ts';
import { startDiskThread } from '../../artifact/disk-thread.ts';
import { layersOf } from '../../artifact/layers.ts';
import type { Descriptor } from '../../artifact/manifest.ts';
import type { ImageReference } from '../../artifact/reference.ts';
import type { Registry } from '../../artifact/registry.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { chooseGraph, chooseGraphIn } from '../engine/model/graph-file.ts';
import type { CheckedPlace } from './check-model.ts';
import { askForModel } from './fetch-model.ts';
import { readGraphFacts } from './graph-facts.ts';
import { describesModel } from './model-files.ts';

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

/** A folder as it lies there. `file`: its graph, where it is named. */
export const folderSource = (folder: string, file?: string): CheckSource => ({
  place: { folder, choose: () => chooseGraphIn(folder, file), weightBytes: fileSize },
  digest: undefined,
  [Symbol.asyncDispose]: async () => undefined,
});

type Named = { readonly name: string; readonly layer: Descriptor };

/** Names and layers of the files in the folder of the graph, and of those in its parent. */
const filesAround = (files: readonly Named[], graph: string): readonly Named[] => {
  const place = dirname(graph);
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
  { file, signal }: { readonly file?: string | undefined; readonly signal: AbortSignal },
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
  const names = files.map(({ name }) => name);
  const choice = chooseGraph(names, { where, file });
  const graph = choice.file;
  const around = filesAround(files, graph);
  const root = await mkdtemp(join(tmpdir(), 'adaptlet-check-'));
  const dispose = (): Promise<void> => rm(root, { recursive: true, force: true });
  try {
    await fetchSmall({ registry, image, signal, root, graph, files: around });
    const sizes = new Map(around.map(({ name, layer }) => [join(root, name), layer.size]));
    return {
      place: { folder: root, choose: () => choice, weightBytes: async (path) => sizes.get(path) },
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
  readonly graph: string;
  readonly files: readonly Named[];
};

/** The graph first: it says which of the others are its weights. */
const fetchSmall = async ({ registry, image, signal, root, graph, files }: Fetch): Promise<void> => {
  await using disk = startDiskThread();
  const fetch = async ({ name, layer }: Named): Promise<string> => {
    const path = join(root, name);
    await mkdir(dirname(path), { recursive: true });
    await registry.blob(image, layer, { path, have: 0 }, signal, () => undefined);
    const { digest } = await disk.hash(path, signal);
    if (digest === layer.digest) return path;
    throw new AdaptletError('ARTIFACT_CORRUPT', `${name} came as ${digest}, not as ${layer.digest}`);
  };
  const named = files.find(({ name }) => name === graph);
  if (named === undefined) throw new AdaptletError('INTERNAL', `${graph} is not there`);
  const path = await fetch(named);
  const folder = dirname(path);
  const weights = new Set(readGraphFacts(path).weightFiles.map((name) => join(folder, name)));
  for (const file of files)
    if (describesModel(file.name) && !weights.has(join(root, file.name))) await fetch(file);
};
