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
import { contentField, contentOf, integerField, readFields } from './wire.ts';

export type NewNode = {
  readonly opType: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, number>>;
};

/** A NodeProto. Attributes are non-negative integers. */
export const nodeMessage = (node: NewNode): Buffer =>
  Buffer.concat([
    ...node.inputs.map((input) => contentField(nodeField.input, input)),
    ...node.outputs.map((output) => contentField(nodeField.output, output)),
    contentField(nodeField.name, node.name),
    contentField(nodeField.opType, node.opType),
    ...Object.entries(node.attributes ?? {}).map(([name, value]) =>
      contentField(
        nodeField.attribute,
        Buffer.concat([
          contentField(attributeField.name, name),
          integerField(attributeField.integer, value),
          integerField(attributeField.type, attributeType.integer),
        ]),
      ),
    ),
    ...(node.domain === undefined ? [] : [contentField(nodeField.domain, node.domain)]),
  ]);

/** A ValueInfoProto of a tensor; text dimensions are symbols. */
export const valueInfoMessage = (
  name: string,
  element: number,
  shape: readonly (number | string)[],
): Buffer => {
  const dimensions = shape.map((dimension) =>
    contentField(
      shapeField.dimension,
      typeof dimension === 'number'
        ? integerField(dimensionField.value, dimension)
        : contentField(dimensionField.symbol, dimension),
    ),
  );
  const tensor = Buffer.concat([
    integerField(tensorTypeField.elementType, element),
    contentField(tensorTypeField.shape, Buffer.concat(dimensions)),
  ]);
  return Buffer.concat([
    contentField(valueInfoField.name, name),
    contentField(valueInfoField.type, contentField(typeField.tensor, tensor)),
  ]);
};

/** The node with its first input or output under another name; all else byte for byte. */
export const renameFirst = (node: Node, which: 'input' | 'output', name: string): Buffer => {
  let done = false;
  return Buffer.concat(
    readFields(node.bytes).map((field) => {
      if (done || field.number !== nodeField[which]) return node.bytes.subarray(field.start, field.end);
      contentOf(node.bytes, field);
      done = true;
      return contentField(nodeField[which], name);
    }),
  );
};
