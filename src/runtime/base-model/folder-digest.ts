import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Digest } from '../../api/names.ts';
import { startDiskThread } from '../../artifact/disk-thread.ts';
import type { ModelFolderMemory } from '../state/memory.ts';
import { startGraphThread } from './graph-thread.ts';
import { type ModelFile, modelFilesOf } from './model-files.ts';
import { packModel } from './pack-model.ts';

export type FolderDigestParts = {
  readonly remembered: ModelFolderMemory | undefined;
  readonly memory: { write(memory: ModelFolderMemory): Promise<void> };
  readonly signal: AbortSignal;
};

/** A change of the content changes one of these. */
const stampOf = async ({ name, path }: ModelFile): Promise<string> => {
  const { size, mtimeMs, ino } = await stat(path);
  return `${name} ${path} ${size} ${mtimeMs} ${ino}`;
};

const stampsOf = async (graph: string, weightFiles: readonly string[]): Promise<readonly string[]> =>
  await Promise.all((await modelFilesOf(graph, weightFiles)).map(stampOf));

/** The graph is one of the files: while it is the same, its weights have the names that are remembered. */
const recalled = async (graph: string, known: ModelFolderMemory | undefined): Promise<Digest | undefined> => {
  if (known?.folder !== dirname(graph)) return undefined;
  const stamps = await stampsOf(graph, known.weightFiles).catch(() => []);
  return stamps.join('\n') === known.stamps.join('\n') ? known.digest : undefined;
};

/**
 * Digest of the manifest that `adaptlet model push` would make of the model with a graph. Read by other threads, some seconds for each
 * gigabyte, and remembered by path, size, time and inode of each file.
 * @throws AdaptletError MODEL_FILE_MISSING, MODEL_INVALID; the reason of `signal`
 */
export const folderDigest = async (
  graph: string,
  { remembered, memory, signal }: FolderDigestParts,
): Promise<Digest> => {
  const known = await recalled(graph, remembered);
  if (known !== undefined) return known;
  await using disk = startDiskThread();
  await using graphs = startGraphThread();
  let weightFiles: readonly string[] = [];
  const { digest } = await packModel(graph, {
    readGraph: async (path) => {
      const facts = await graphs.read(path);
      weightFiles = facts.weightFiles;
      return facts;
    },
    hash: async ({ path }) => (await disk.hash(path, signal)).digest,
  });
  signal.throwIfAborted();
  await memory.write({
    folder: dirname(graph),
    weightFiles: [...weightFiles],
    stamps: [...(await stampsOf(graph, weightFiles))],
    digest,
  });
  return digest;
};
