import { attributeOf, type Graph, type Initializer, type Node, readInitializer } from './graph.ts';
import { attributeField, elementType, tensorField } from './schema.ts';
import { contentOf, integersIn, readFields } from './wire.ts';

/** The nodes that make values, by value. */
export const producersOf = (graph: Pick<Graph, 'nodes'>): ReadonlyMap<string, Node> =>
  new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));

/** The tensor of a Constant node; undefined for any other, and for a constant in another form. */
export const tensorOfConstant = (node: Node): Initializer | undefined => {
  if (node.opType !== 'Constant') return undefined;
  const attribute = attributeOf(node, 'value');
  const field = attribute && readFields(attribute).find((f) => f.number === attributeField.tensor);
  return attribute && field && readInitializer(contentOf(attribute, field));
};

/** A constant by its name: an initialiser, or what a Constant node gives. */
export const constantOf = (
  graph: Pick<Graph, 'initializers'>,
  producers: ReadonlyMap<string, Node>,
  value: string,
): Initializer | undefined => {
  const producer = producers.get(value);
  return graph.initializers.get(value) ?? (producer && tensorOfConstant(producer));
};

/** Sizes of the integers that a graph counts with, by element type. */
const integerBytes = new Map<number, number>([
  [elementType.int64, 8],
  [elementType.int32, 4],
]);
/** Longer ones are tables. */
const maxIntegers = 64;

/** The integers of a small constant; undefined where it holds none, too many, or where they are in another file. */
export const integersOf = ({ bytes, dataType, location }: Initializer): readonly number[] | undefined => {
  const size = integerBytes.get(dataType);
  if (size === undefined || location !== undefined) return undefined;
  const values: number[] = [];
  for (const field of readFields(bytes)) {
    if (field.number === tensorField.rawData) {
      const raw = contentOf(bytes, field);
      if (raw.length > maxIntegers * size) return undefined;
      for (let at = 0; at + size <= raw.length; at += size)
        values.push(size === 8 ? Number(raw.readBigInt64LE(at)) : raw.readInt32LE(at));
    } else if (field.number === tensorField.int64Data || field.number === tensorField.int32Data) {
      for (const value of integersIn(bytes, field)) values.push(value);
    }
  }
  return values.length > maxIntegers ? undefined : values;
};

/** A graph of strangers may be a circle. */
const mostCasts = 4;

/** The value that nodes make this one of by changing its type alone. */
export const beforeCasts = (graph: Pick<Graph, 'nodes' | 'initializers'>, value: string): string => {
  let name = value;
  for (let casts = 0; casts < mostCasts && !graph.initializers.has(name); casts += 1) {
    const producer = graph.nodes.find(({ outputs }) => outputs.includes(name));
    if (producer?.opType !== 'Cast') break;
    name = producer.inputs[0] ?? '';
  }
  return name;
};

const floatBytes = 4;

/** Bytes of the weights that a graph turns over, in float32: the optimiser does it once, and keeps what it makes. */
export const turnedBytes = (graph: Pick<Graph, 'nodes' | 'initializers'>): number =>
  graph.nodes
    .filter(({ opType }) => opType === 'Transpose')
    .flatMap(({ inputs: [input = ''] }) => graph.initializers.get(beforeCasts(graph, input)) ?? [])
    .reduce((sum, { dims }) => sum + floatBytes * dims.reduce((product, size) => product * size, 1), 0);
