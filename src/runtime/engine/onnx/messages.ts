import type { Node } from './graph.ts';
import {
  attributeField,
  attributeType,
  dimensionField,
  elementType,
  nodeField,
  shapeField,
  tensorField,
  tensorTypeField,
  typeField,
  valueInfoField,
} from './schema.ts';
import { contentField, contentOf, integerField, mapFields, readFields, textOf } from './wire.ts';

export type NewNode = {
  readonly opType: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
};

type Attribute = number | string | readonly number[];

const attributeContent = (value: Attribute): readonly Buffer[] => {
  if (typeof value === 'number')
    return [
      integerField(attributeField.integer, value),
      integerField(attributeField.type, attributeType.integer),
    ];
  if (typeof value === 'string')
    return [contentField(attributeField.text, value), integerField(attributeField.type, attributeType.text)];
  return [
    ...value.map((one) => integerField(attributeField.integers, one)),
    integerField(attributeField.type, attributeType.integers),
  ];
};

/** AttributeProtos of a node, as it has them. */
export const attributeMessages = (attributes: Readonly<Record<string, Attribute>>): readonly Buffer[] =>
  Object.entries(attributes).map(([name, value]) =>
    contentField(
      nodeField.attribute,
      Buffer.concat([contentField(attributeField.name, name), ...attributeContent(value)]),
    ),
  );

/** A NodeProto. Attributes are texts, integers or lists of them. */
export const nodeMessage = (node: NewNode): Buffer =>
  Buffer.concat([
    ...node.inputs.map((input) => contentField(nodeField.input, input)),
    ...node.outputs.map((output) => contentField(nodeField.output, output)),
    contentField(nodeField.name, node.name),
    contentField(nodeField.opType, node.opType),
    ...attributeMessages(node.attributes ?? {}),
    ...(node.domain === undefined ? [] : [contentField(nodeField.domain, node.domain)]),
  ]);

const shapeMessage = (shape: readonly (number | string)[]): Buffer =>
  Buffer.concat(
    shape.map((dimension) =>
      contentField(
        shapeField.dimension,
        typeof dimension === 'number'
          ? integerField(dimensionField.value, dimension)
          : contentField(dimensionField.symbol, dimension),
      ),
    ),
  );

/** A ValueInfoProto of a tensor; text dimensions are symbols. Without a shape any number of dimensions may be fed. */
export const valueInfoMessage = (
  name: string,
  element: number,
  shape?: readonly (number | string)[],
): Buffer => {
  const tensor = Buffer.concat([
    integerField(tensorTypeField.elementType, element),
    ...(shape === undefined ? [] : [contentField(tensorTypeField.shape, shapeMessage(shape))]),
  ]);
  return Buffer.concat([
    contentField(valueInfoField.name, name),
    contentField(valueInfoField.type, contentField(typeField.tensor, tensor)),
  ]);
};

/** A NodeProto without the attributes of these names; all else byte for byte. */
export const withoutAttributes = (node: Buffer, names: readonly string[]): Buffer =>
  mapFields(node, (field) => {
    if (field.number !== nodeField.attribute) return undefined;
    const attribute = contentOf(node, field);
    const name = readFields(attribute).find(({ number }) => number === attributeField.name);
    return name !== undefined && names.includes(textOf(attribute, name)) ? Buffer.alloc(0) : undefined;
  });

/** The node as an operator of another domain; all else byte for byte. */
export const withDomain = (node: Node, domain: string): Buffer =>
  Buffer.concat([
    mapFields(node.bytes, (field) => (field.number === nodeField.domain ? Buffer.alloc(0) : undefined)),
    contentField(nodeField.domain, domain),
  ]);

/** The node with its first output under another name; all else byte for byte. */
export const renameOutput = (node: Node, name: string): Buffer => {
  let done = false;
  return mapFields(node.bytes, (field) => {
    if (done || field.number !== nodeField.output) return undefined;
    done = true;
    return contentField(nodeField.output, name);
  });
};

/** The node with another value wherever it took the old one; all else byte for byte. */
export const renameInput = (node: Node, from: string, to: string): Buffer =>
  mapFields(node.bytes, (field) =>
    field.number === nodeField.input && textOf(node.bytes, field) === from
      ? contentField(nodeField.input, to)
      : undefined,
  );

/** The node with values at some of its inputs, those between absent where it had fewer; all else byte for byte. */
export const withInputs = (node: Node, values: ReadonlyMap<number, string>): Buffer => {
  const length = Math.max(node.inputs.length, ...[...values.keys()].map((place) => place + 1));
  const inputs = Array.from({ length }, (_, at) => values.get(at) ?? node.inputs[at] ?? '');
  const rest = mapFields(node.bytes, (field) =>
    field.number === nodeField.input ? Buffer.alloc(0) : undefined,
  );
  return Buffer.concat([...inputs.map((input) => contentField(nodeField.input, input)), rest]);
};

/** The same with one value. */
export const withInput = (node: Node, place: number, value: string): Buffer =>
  withInputs(node, new Map([[place, value]]));

/** A TensorProto of float32. */
export const floatsMessage = (name: string, dims: readonly number[], values: Float32Array): Buffer =>
  Buffer.concat([
    ...dims.map((size) => integerField(tensorField.dims, size)),
    integerField(tensorField.dataType, elementType.float),
    contentField(tensorField.name, name),
    contentField(tensorField.rawData, Buffer.from(values.buffer, values.byteOffset, values.byteLength)),
  ]);

/** A TensorProto of a list of int64. */
export const integersMessage = (name: string, values: readonly number[]): Buffer =>
  Buffer.concat([
    integerField(tensorField.dims, values.length),
    integerField(tensorField.dataType, elementType.int64),
    contentField(tensorField.name, name),
    contentField(tensorField.rawData, Buffer.from(BigInt64Array.from(values, BigInt).buffer)),
  ]);
