import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type ExternalPlace, externalWeights, moveValues } from '../onnx/external-weights.ts';
import type { Graph } from '../onnx/graph.ts';
import { preparedFiles } from './prepared-graph.ts';

/** Kernels load with vectors of up to 64 bytes. */
const alignment = 64;
const mebibytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20);

/** The graph of the base model, and its file. */
export type ExportedGraph = { readonly model: Graph; readonly path: string };

export type MoveOptions = {
  readonly exported: ExportedGraph;
  /** Told what is written before it is. */
  readonly say: (what: string) => void;
};

/** Node reads and writes no more at once. */
const mostAtOnce = 1 << 30;

const readAt = (path: string, { offset, length = 0 }: ExternalPlace): Buffer => {
  const bytes = Buffer.alloc(length);
  const file = openSync(path, 'r');
  try {
    for (let at = 0; at < length; ) {
      const read = readSync(file, bytes, at, Math.min(mostAtOnce, length - at), offset + at);
      if (read === 0) throw new Error(`${path} ends before ${offset + length}`);
      at += read;
    }
  } finally {
    closeSync(file);
  }
  return bytes;
};

/** Bytes that tell most weights of one length apart. */
const firstBytes = 4096;

/** Where a model has the same bytes in a file. */
const finder = ({ model, path }: ExportedGraph) => {
  const byLength = Map.groupBy(externalWeights(model), ({ place }) => place.length);
  return (values: Buffer): ExternalPlace | undefined =>
    byLength.get(values.length)?.find(({ place: { location, offset } }) => {
      const file = join(dirname(path), location);
      if (statSync(file).size < offset + values.length) return false;
      const isSame = (length: number): boolean =>
        readAt(file, { location, offset, length }).equals(values.subarray(0, length));
      return isSame(Math.min(firstBytes, values.length)) && isSame(values.length);
    })?.place;
};

const writeAll = (file: number, bytes: Buffer): void => {
  for (let at = 0; at < bytes.length; )
    at += writeSync(file, bytes, at, Math.min(mostAtOnce, bytes.length - at));
};

/** The file of constants beside a graph. */
class ConstantsFile {
  readonly #path: string;
  readonly #parts: Buffer[] = [];
  readonly #file: number | undefined;
  #end = 0;

  /** `atOnce`: written as they come; else kept until {@link write}. */
  constructor(folder: string, atOnce: boolean) {
    this.#path = join(folder, preparedFiles.constants);
    this.#file = atOnce ? openSync(this.#path, 'wx') : undefined;
  }

  get bytes(): number {
    return this.#end;
  }

  /** Where the values will be. */
  add(values: Buffer): number {
    const offset = Math.ceil(this.#end / alignment) * alignment;
    for (const bytes of [Buffer.alloc(offset - this.#end), values]) {
      if (this.#file === undefined) this.#parts.push(bytes);
      else writeAll(this.#file, bytes);
    }
    this.#end = offset + values.length;
    return offset;
  }

  write(): void {
    const file = this.#file ?? openSync(this.#path, 'wx');
    try {
      for (const bytes of this.#parts) writeAll(file, bytes);
    } finally {
      closeSync(file);
    }
  }
}

/**
 * Takes the constants out of an optimised graph, so that sessions share them. Those that the model has are read from its
 * own files: the optimiser makes a constant of a reshaped weight. Others get a file beside the graph, which names them as if
 * they lay in the graph of the model: ONNX Runtime looks whether the file is there, and reads nothing of it.
 */
export const moveConstants = (folder: string, { exported, say }: MoveOptions): void => {
  const graph = join(folder, preparedFiles.graph);
  const beside = join(folder, preparedFiles.beside);
  const isBeside = existsSync(beside);
  if (isBeside)
    say(`writing up to ${mebibytes(statSync(beside).size)} MiB of constants that its graph has, once`);
  const find = finder(exported);
  const constants = new ConstantsFile(folder, isBeside);
  const moved = moveValues(
    readFileSync(graph),
    (values) => find(values) ?? { location: basename(exported.path), offset: constants.add(values) },
    (place) => (place.location === preparedFiles.beside ? readAt(beside, place) : undefined),
  );
  if (!isBeside && constants.bytes > 0) {
    // Both at once would take twice the room.
    rmSync(graph);
    say(`writing ${mebibytes(constants.bytes)} MiB of constants that its graph has, once`);
  }
  if (isBeside || constants.bytes > 0) constants.write();
  rmSync(beside, { force: true });
  writeFileSync(graph, moved);
};
