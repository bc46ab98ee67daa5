import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { type Graph, readGraph, readInitializer } from './graph.ts';
import { elementType, entryField, graphField, microsoftDomain, modelField, tensorField } from './schema.ts';
import {
  contentField,
  contentOf,
  type Field,
  integerField,
  mapContents,
  mapFields,
  readFields,
  textOf,
} from './wire.ts';

/** Where the values of an initialiser lie. `length`: absent where its file says it, by its end. */
export type ExternalPlace = {
  /** File, as the graph names it. */
  readonly location: string;
  readonly offset: number;
  readonly length?: number;
};

/** An initialiser whose values lie in a file. */
export type ExternalWeight = {
  readonly name: string;
  /** TensorProto.DataType. */
  readonly dataType: number;
  readonly dims: readonly number[];
  readonly place: ExternalPlace;
};

const numberOf = (value: string, name: string): number => {
  const number = Number(value);
  if (value.trim() !== '' && Number.isSafeInteger(number) && number >= 0) return number;
  throw new AdaptletError('MODEL_INVALID', `The initialiser ${name} has weights at ${value}`);
};

/**
 * Where the values of a TensorProto are that lie in a file.
 * @throws MODEL_INVALID
 */
export const externalPlaceOf = (name: string, tensor: Buffer): ExternalPlace => {
  const entries = new Map<string, string>();
  for (const field of readFields(tensor)) {
    if (field.number !== tensorField.externalData) continue;
    const entry = contentOf(tensor, field);
    const texts = new Map(readFields(entry).map((each) => [each.number, textOf(entry, each)]));
    entries.set(texts.get(entryField.key) ?? '', texts.get(entryField.value) ?? '');
  }
  const length = entries.get('length');
  return {
    location: entries.get('location') ?? '',
    offset: numberOf(entries.get('offset') ?? '0', name),
    ...(length === undefined ? {} : { length: numberOf(length, name) }),
  };
};

/**
 * The initialisers of a graph whose values lie in files.
 * @throws MODEL_INVALID
 */
export const externalWeights = (graph: Pick<Graph, 'initializers'>): readonly ExternalWeight[] =>
  [...graph.initializers]
    .filter(([, { location }]) => location !== undefined)
    .map(([name, { bytes, dataType, dims }]) => ({
      name,
      dataType,
      dims,
      place: externalPlaceOf(name, bytes),
    }));

const entryMessage = (key: string, value: string): Buffer =>
  Buffer.concat([contentField(entryField.key, key), contentField(entryField.value, value)]);

/** TensorProto.DataLocation EXTERNAL, as a field. */
const isExternal = Buffer.from([tensorField.dataLocation * 8, 1]);

const placeFields = ({ location, offset }: ExternalPlace, length: number): readonly Buffer[] => {
  const entries = { location, offset: String(offset), length: String(length) };
  return [
    ...Object.entries(entries).map(([key, value]) =>
      contentField(tensorField.externalData, entryMessage(key, value)),
    ),
    isExternal,
  ];
};

const moved = (tensor: Buffer, values: Field, place: ExternalPlace): Buffer =>
  Buffer.concat([
    tensor.subarray(0, values.start),
    tensor.subarray(values.end),
    ...placeFields(place, contentOf(tensor, values).length),
  ]);

/** A TensorProto of bytes that lie in a file. */
export const externalBytes = (name: string, length: number, place: ExternalPlace): Buffer =>
  Buffer.concat([
    integerField(tensorField.dims, length),
    integerField(tensorField.dataType, elementType.uint8),
    contentField(tensorField.name, name),
    ...placeFields(place, length),
  ]);

/** Values of fewer bytes stay in the graph, unless they are weights of a quantised linear, which are read where they lie. */
const leastBytes = 1024;

/** A TensorProto whose values lie in a file, with another place of theirs. */
const placedElsewhere = (tensor: Buffer, place: ExternalPlace, length: number): Buffer =>
  Buffer.concat([
    mapFields(tensor, ({ number }) =>
      number === tensorField.externalData || number === tensorField.dataLocation
        ? Buffer.alloc(0)
        : undefined,
    ),
    ...placeFields(place, length),
  ]);

/**
 * Moves the values of the initialisers that hold them themselves to files: `place` says where each is, having put it there.
 * @param valuesAt those that lie in a file to be left as well; undefined for what stays there
 * @throws MODEL_INVALID
 */
export const moveValues = (
  model: Buffer,
  place: (values: Buffer) => ExternalPlace,
  valuesAt: (place: ExternalPlace) => Buffer | undefined = () => undefined,
): Buffer => {
  const linears = readGraph(model).nodes.filter(
    ({ opType, domain }) => opType === 'MatMulNBits' && domain === microsoftDomain,
  );
  const weights = new Set(linears.flatMap(({ inputs }) => inputs.slice(1)));
  return mapContents(model, modelField.graph, (graph) =>
    mapContents(graph, graphField.initializer, (tensor) => {
      const values = readFields(tensor).find(({ number }) => number === tensorField.rawData);
      const { name, location } = readInitializer(tensor);
      if (location !== undefined) {
        const bytes = valuesAt(externalPlaceOf(name, tensor));
        return bytes === undefined ? tensor : placedElsewhere(tensor, place(bytes), bytes.length);
      }
      if (values === undefined) return tensor;
      const bytes = contentOf(tensor, values);
      return bytes.length < leastBytes && !weights.has(name) ? tensor : moved(tensor, values, place(bytes));
    }),
  );
};
