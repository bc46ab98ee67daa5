import { applyEdit, type Node, readGraph } from '../../src/runtime/engine/onnx/graph.ts';
import { attributeField, nodeField } from '../../src/runtime/engine/onnx/schema.ts';
import {
  contentField,
  contentOf,
  integerField,
  readFields,
  textOf,
} from '../../src/runtime/engine/onnx/wire.ts';

/** A model with other nodes in the place of some. */
export const changedGraph = (
  model: Buffer,
  change: (node: Node) => readonly Buffer[] | undefined,
): Buffer => {
  const graph = readGraph(model);
  const nodes = graph.nodes.flatMap((node): (readonly [Node, readonly Buffer[]])[] => {
    const changed = change(node);
    return changed === undefined ? [] : [[node, changed]];
  });
  if (nodes.length === 0) throw new Error('no node of the graph was changed');
  return applyEdit(graph, {
    nodes: new Map(nodes),
    newInputs: [],
    staleShapes: new Set(),
    outputs: new Map(),
  });
};

const partsOf = (node: Node, change: (number: number, bytes: Buffer) => Buffer): Buffer =>
  Buffer.concat(
    readFields(node.bytes).map((field) =>
      change(field.number, Buffer.from(node.bytes.subarray(field.start, field.end))),
    ),
  );

/** The node as another operator. */
export const withOperator = (node: Node, opType: string): Buffer =>
  partsOf(node, (number, bytes) => (number === nodeField.opType ? contentField(number, opType) : bytes));

/** The node with another value of an integer attribute. */
export const withInteger = (node: Node, name: string, value: number): Buffer =>
  Buffer.concat([
    ...readFields(node.bytes).flatMap((field) => {
      if (field.number === nodeField.attribute) {
        const attribute = contentOf(node.bytes, field);
        const label = readFields(attribute).find((part) => part.number === attributeField.name);
        if (label !== undefined && textOf(attribute, label) === name) return [];
      }
      return [node.bytes.subarray(field.start, field.end)];
    }),
    contentField(
      nodeField.attribute,
      Buffer.concat([
        contentField(attributeField.name, name),
        integerField(attributeField.integer, value),
        integerField(attributeField.type, 2),
      ]),
    ),
  ]);

/** A Constant with an int64 in the place of another one. */
export const withConstant = (node: Node, from: number, to: number): Buffer => {
  const [old, changed] = [from, to].map((value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    return bytes;
  });
  const bytes = Buffer.from(node.bytes);
  const at = bytes.lastIndexOf(old ?? '');
  if (at < 0) throw new Error(`${node.name} does not hold ${from}`);
  changed?.copy(bytes, at);
  return bytes;
};
