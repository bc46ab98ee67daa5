import { resolve } from 'node:path';
import type { FilePart } from '../../compiled/compile-target.ts';
import { externalPlaceOf } from './external-weights.ts';
import type { Graph, Initializer } from './graph.ts';
import { elementType, tensorField } from './schema.ts';
import { readFields } from './wire.ts';

/** Where the files of a graph are. */
export type GraphFiles = {
  /** Path of a file that the graph names. */
  readonly pathOf: (location: string) => string;
  /** The file that has the graph, byte for byte; absent where none has. */
  readonly graph?: string;
};

/** A graph, and where its files are. */
export type GraphWithFiles = { readonly graph: Graph; readonly files: GraphFiles };

const bytesOf = new Map<number, number>([
  [elementType.float, 4],
  [elementType.uint8, 1],
]);

/** Where the values of an initialiser of this type are; undefined where no file has them, or where they are of another type. */
export const partOf = (
  name: string,
  { graph, files }: GraphWithFiles,
  type: number,
): FilePart | undefined => {
  const found = graph.initializers.get(name);
  if (found === undefined || found.dataType !== type) return undefined;
  const length = found.dims.reduce((product, size) => product * size, bytesOf.get(type) ?? 0);
  const place = found.location === undefined ? inline(found, graph, files) : external(name, found, files);
  return place === undefined || (place.length ?? length) !== length
    ? undefined
    : { path: resolve(place.path), offset: place.offset, length };
};

type PathAndPlace = { readonly path: string; readonly offset: number; readonly length?: number };

const external = (name: string, { bytes }: Initializer, { pathOf }: GraphFiles): PathAndPlace => {
  const { location, ...place } = externalPlaceOf(name, bytes);
  return { path: pathOf(location), ...place };
};

const inline = (
  { bytes }: Initializer,
  { model }: Graph,
  { graph: path }: GraphFiles,
): PathAndPlace | undefined => {
  const values = readFields(bytes).find(({ number }) => number === tensorField.rawData);
  if (path === undefined || values === undefined || bytes.buffer !== model.buffer) return undefined;
  const offset = bytes.byteOffset - model.byteOffset + values.valueStart;
  return { path, offset, length: values.end - values.valueStart };
};
