import { closeSync, openSync, readFileSync, readSync, statfsSync, writeFileSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type ExternalPlace, externalWeights, moveValues } from '../onnx/external-weights.ts';
import type { Graph } from '../onnx/graph.ts';
import { preparedFiles } from './prepared-graph.ts';

/** Kernels load with vectors of up to 64 bytes. */
const alignment = 64;
/** Kubelets put pods off a node whose disk has less free. */
const freeShare = 0.1;

const mebibytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20);

/** Bytes that may be written to the disk of a folder. */
const roomOn = (folder: string): number => {
  const { bavail, blocks, bsize } = statfsSync(folder);
  return (bavail - blocks * freeShare) * bsize;
};

/** The graph of the base model, and its file. */
export type ExportedGraph = { readonly model: Graph; readonly path: string };

/** Where a model has the same bytes in a file. */
const finder = ({ model, path }: ExportedGraph) => {
  const byLength = Map.groupBy(externalWeights(model), ({ place }) => place.length);
  return (values: Buffer): ExternalPlace | undefined =>
    byLength.get(values.length)?.find(({ place: { location, offset } }) => {
      const file = openSync(join(dirname(path), location), 'r');
      try {
        const bytes = Buffer.alloc(values.length);
        return readSync(file, bytes, 0, bytes.length, offset) === bytes.length && bytes.equals(values);
      } finally {
        closeSync(file);
      }
    })?.place;
};

export type MoveOptions = {
  readonly exported: ExportedGraph;
  /** Told what is written before it is. */
  readonly say: (what: string) => void;
  /** Bytes that may be written to the disk of a folder. Default: all but the last tenth of the disk. */
  readonly room?: (folder: string) => number;
};

/**
 * Takes the constants out of an optimised graph, so that sessions share them. Those that the model has are read from its
 * own files: the optimiser makes a constant of a reshaped weight. Others get a file beside the graph, which names them as if
 * they lay in the graph of the model: ONNX Runtime looks whether the file is there, and reads nothing of it.
 * @throws Error when the disk has no room for them
 */
export const moveConstants = (folder: string, { exported, say, room = roomOn }: MoveOptions): void => {
  const graph = join(folder, preparedFiles.graph);
  const find = finder(exported);
  const own: Buffer[] = [];
  let end = 0;
  const moved = moveValues(readFileSync(graph), (values) => {
    const found = find(values);
    if (found !== undefined) return found;
    const offset = Math.ceil(end / alignment) * alignment;
    own.push(Buffer.alloc(offset - end), values);
    end = offset + values.length;
    return { location: basename(exported.path), offset };
  });
  if (end > 0) {
    const free = room(folder);
    if (end > free)
      throw new Error(
        `constants of ${mebibytes(end)} MiB do not fit ${folder}: its disk has room for ${Math.max(0, Math.floor(free / 2 ** 20))} MiB, as a tenth of a disk is left free`,
      );
    say(`writing ${mebibytes(end)} MiB of constants that its graph has, once`);
    const file = openSync(join(folder, preparedFiles.constants), 'wx');
    try {
      for (const bytes of own) writeSync(file, bytes);
    } finally {
      closeSync(file);
    }
  }
  writeFileSync(graph, moved);
};
