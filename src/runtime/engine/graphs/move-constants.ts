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

/** Where a model has the same bytes. */
const finder = ({ model, path }: ExportedGraph) => {
  const weightsFolder = dirname(path);
  const byLength = Map.groupBy(externalWeights(model), ({ place }) => place.length);
  return (values: Buffer): ExternalPlace | undefined =>
    byLength.get(values.length)?.find(({ place: { location, offset } }) => {
      const file = openSync(join(weightsFolder, location), 'r');
      try {
        const bytes = Buffer.alloc(values.length);
        return readSync(file, bytes, 0, bytes.length, offset) === bytes.length && bytes.equals(values);
      } finally {
        closeSync(file);
      }
    })?.place;
};

const refuseWithoutRoom = (folder: string, bytes: number): void => {
  const { bavail, blocks, bsize } = statfsSync(folder);
  const room = (bavail - blocks * freeShare) * bsize;
  if (bytes <= room) return;
  throw new Error(
    `the constants of the optimised graph have ${mebibytes(bytes)} MiB, and the disk of ${folder} has only ${mebibytes(bavail * bsize)} MiB free, of which a tenth of the disk is left free`,
  );
};

/** The graph of the base model, and its file. */
export type ExportedGraph = { readonly model: Graph; readonly path: string };

/**
 * Takes the constants out of an optimised graph, so that sessions share them. Those that the model has are read from its
 * own files: the optimiser makes a constant of a reshaped weight. Others get a file beside the graph, which names them as if
 * they lay in the graph of the model: ONNX Runtime looks whether the file is in the folder of the weights, and reads nothing of it.
 * @throws Error when the disk has no room for them
 */
export const moveConstants = (folder: string, exported: ExportedGraph): void => {
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
  writeFileSync(graph, moved, { flush: true });
  if (end === 0) return;
  refuseWithoutRoom(folder, end);
  const file = openSync(join(folder, preparedFiles.constants), 'wx');
  try {
    for (const bytes of own) writeSync(file, bytes);
  } finally {
    closeSync(file);
  }
};
