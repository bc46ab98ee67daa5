import type { Node } from './graph.ts';
import {
  attributeField,
  attributeType,
  dimensionField,
  nodeField,
  shapeField,
  tensorTypeField,
  typeField,
  valueInfoField,
} from './schema.ts';
import { contentField, contentOf, type Field, integerField, readFields, textOf } from './wire.ts';

export type NewNode = {
  readonly opType: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, number | readonly number[]>>;
};

const attributeMessage = (name: string, value: number | readonly number[]): Buffer =>
  typeof value === 'number'
    ? Buffer.concat([
        contentField(attributeField.name, name),
        integerField(attributeField.integer, value),
        integerField(attributeField.type, attributeType.integer),
      ])
    : Buffer.concat([
        contentField(attributeField.name, name),
        ...value.map((one) => integerField(attributeField.integers, one)),
        integerField(attributeField.type, attributeType.integers),
      ]);

/** A NodeProto. Attributes are integers or lists of them. */
export const nodeMessage = (node: NewNode): Buffer =>
  Buffer.concat([
    ...node.inputs.map((input) => contentField(nodeField.input, input)),
    ...node.outputs.map((output) => contentField(nodeField.output, output)),
    contentField(nodeField.name, node.name),
    contentField(nodeField.opType, node.opType),
    ...Object.entries(node.attributes ?? {}).map(([name, value]) =>
      contentField(nodeField.attribute, attributeMessage(name, value)),
    ),
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

const mapFields = (node: Node, change: (field: Field) => Buffer | undefined): Buffer =>
  Buffer.concat(
    readFields(node.bytes).map((field) => change(field) ?? node.bytes.subarray(field.start, field.end)),
  );

/** The node with its first output under another name; all else byte for byte. */
export const renameOutput = (node: Node, name: string): Buffer => {
  let done = false;
  return mapFields(node, (field) => {
    if (done || field.number !== nodeField.output) return undefined;
    done = true;
    return contentField(nodeField.output, name);
  });
};

/** The node with another value wherever it took the old one; all else byte for byte. */
export const renameInput = (node: Node, from: string, to: string): Buffer =>
  mapFields(node, (field) =>
    field.number === nodeField.input && textOf(node.bytes, field) === from
      ? contentField(nodeField.input, to)
      : undefined,
  );

/** The node with a value at one of its inputs, those before it absent where it had fewer; all else byte for byte. */
export const withInput = (node: Node, place: number, value: string): Buffer => {
  const inputs = Array.from({ length: Math.max(node.inputs.length, place + 1) }, (_, at) =>
    at === place ? value : (node.inputs[at] ?? ''),
  );
  const rest = mapFields(node, (field) => (field.number === nodeField.input ? Buffer.alloc(0) : undefined));
  return Buffer.concat([...inputs.map((input) => contentField(nodeField.input, input)), rest]);
};

/** The node without one of its attributes; all else byte for byte. */
export const withoutAttribute = (node: Node, name: string): Buffer =>
  mapFields(node, (field) => {
    if (field.number !== nodeField.attribute) return undefined;
    const attribute = contentOf(node.bytes, field);
    const label = readFields(attribute).find(({ number }) => number === attributeField.name);
    return label !== undefined && textOf(attribute, label) === name ? Buffer.alloc(0) : undefined;
  });
