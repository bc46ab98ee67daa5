import { closeSync, openSync, readFileSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type ExternalPlace, externalWeights, moveValues } from '../onnx/external-weights.ts';
import type { Graph } from '../onnx/graph.ts';
import { preparedFiles } from './prepared-graph.ts';

/** Kernels load with vectors of up to 64 bytes. */
const alignment = 64;
const mebibytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20);

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
};

/**
 * Takes the constants out of an optimised graph, so that sessions share them. Those that the model has are read from its
 * own files: the optimiser makes a constant of a reshaped weight. Others get a file beside the graph, which names them as if
 * they lay in the graph of the model: ONNX Runtime looks whether the file is there, and reads nothing of it.
 */
export const moveConstants = (folder: string, { exported, say }: MoveOptions): void => {
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
    // Both at once would take twice the room.
    rmSync(graph);
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
