import type { Node } from './graph.ts';
import { type NewNode, nodeMessage, renameOutput } from './messages.ts';
import { microsoftDomain } from './schema.ts';
import type { Block, Linear } from './sites.ts';

/** Names of the graph inputs that take one half of an adapter's pair. */
export const inputOf = (module: string, half: 'A' | 'B'): string => `lora.${module}.${half}`;

/** What a module adds to one of its blocks. */
const deltaOf = ({ site, blocks }: Linear, index: number): string =>
  blocks.length === 1 ? `lora.${site.module}.delta` : `lora.${site.module}.delta.${index}`;

/** A value by its columns, in blocks of these widths. */
const splitNodes = (
  name: string,
  input: string,
  outputs: readonly string[],
  widths: readonly number[],
): NewNode[] => {
  const sizes = `${name}.sizes`;
  const attributes = { value_ints: widths };
  return [
    { opType: 'Constant', name: sizes, inputs: [], outputs: [sizes], attributes },
    { opType: 'Split', name, inputs: [input, sizes], outputs, attributes: { axis: -1 } },
  ];
};

/**
 * (x·Aᵀ)·B, B [rank, out] as the engine has it; with one more dimension in front of both, each row of the batch has a
 * pair of its own. It is taken apart where the module's columns are in several nodes. It is the delta that is split, along its
 * features: a split of A or B would have a dimension of 0 when the rank is 0, which ONNX Runtime refuses.
 */
const moduleNodes = (linear: Linear): readonly NewNode[] => {
  const { site, input, blocks } = linear;
  const { module } = site;
  const low = `lora.${module}.low_rank`;
  const delta = `lora.${module}.delta`;
  const fused = { opType: 'FusedMatMul', domain: microsoftDomain, attributes: { transB: 1 } };
  const product = [
    { ...fused, name: `lora.${module}.down`, inputs: [input, inputOf(module, 'A')], outputs: [low] },
    { opType: 'MatMul', name: `lora.${module}.up`, inputs: [low, inputOf(module, 'B')], outputs: [delta] },
  ];
  if (blocks.length === 1) return product;
  const outputs = blocks.map((_, index) => deltaOf(linear, index));
  const widths = blocks.map(({ width }) => width);
  return [...product, ...splitNodes(`lora.${module}.split`, delta, outputs, widths)];
};

type Share = Block & { readonly delta: string };
/** Columns with or without LoRA. */
type Span = { readonly width: number; readonly delta?: string };

/** All columns of a node from left to right. */
const spansOf = (shares: readonly Share[], columns: number): readonly Span[] => {
  const spans: Span[] = [];
  let end = 0;
  for (const { first, width, delta } of shares.toSorted((a, b) => a.first - b.first)) {
    if (first > end) spans.push({ width: first - end });
    spans.push({ width, delta });
    end = first + width;
  }
  return end < columns ? [...spans, { width: columns - end }] : spans;
};

type Sum = { readonly name: string; readonly base: string; readonly y: string };

/** All columns have LoRA: one sum, of the deltas side by side. */
const wholeSum = ({ name, base, y }: Sum, deltas: readonly string[]): readonly NewNode[] => {
  const [only = ''] = deltas;
  const all = deltas.length === 1 ? only : `${y}.deltas`;
  const concat = { opType: 'Concat', name: `${name}.concat`, attributes: { axis: -1 } };
  return [
    ...(deltas.length === 1 ? [] : [{ ...concat, inputs: deltas, outputs: [all] }]),
    { opType: 'Add', name: `${name}.add`, inputs: [base, all], outputs: [y] },
  ];
};

/** Some columns have LoRA: they are taken out, and put back between the others. */
const partialSum = ({ name, base, y }: Sum, spans: readonly Span[]): readonly NewNode[] => {
  const parts = spans.map((_, index) => `${base}.${index}`);
  const sums = spans.map(({ delta }, index) => (delta === undefined ? `${base}.${index}` : `${y}.${index}`));
  const adds = spans.flatMap(({ delta }, index) => {
    const [part = '', sum = ''] = [parts[index], sums[index]];
    const add = { opType: 'Add', name: `${name}.add.${index}`, outputs: [sum] };
    return delta === undefined ? [] : [{ ...add, inputs: [part, delta] }];
  });
  const widths = spans.map(({ width }) => width);
  return [
    ...splitNodes(`${name}.split`, base, parts, widths),
    ...adds,
    { opType: 'Concat', name: `${name}.concat`, inputs: sums, outputs: [y], attributes: { axis: -1 } },
  ];
};

/** The node under another output name, and the sum of it and its deltas under the old one. */
const sumNodes = (node: Node, shares: readonly Share[]): readonly Buffer[] => {
  const [y = ''] = node.outputs;
  const sum = { name: `lora.${node.name}`, base: `${y}.base`, y };
  const spans = spansOf(shares, shares[0]?.columns ?? 0);
  const deltas = spans.flatMap(({ delta }) => (delta === undefined ? [] : [delta]));
  const sums = deltas.length === spans.length ? wholeSum(sum, deltas) : partialSum(sum, spans);
  return [renameOutput(node, sum.base), ...sums.map(nodeMessage)];
};

/** The messages that take the place of each node which computes a module. */
export const loraNodes = (
  nodes: readonly Node[],
  linears: readonly Linear[],
): ReadonlyMap<Node, readonly Buffer[]> => {
  const touching = new Map<Node, Linear[]>();
  for (const linear of linears) {
    for (const { node } of linear.blocks) touching.set(node, [...(touching.get(node) ?? []), linear]);
  }
  const done = new Set<Linear>();
  const edits = new Map<Node, readonly Buffer[]>();
  for (const node of nodes) {
    const here = touching.get(node);
    if (here === undefined) continue;
    // A module comes before the first of its nodes: by then its input, which is theirs, is there.
    const fresh = here.filter((linear) => !done.has(linear));
    for (const linear of fresh) done.add(linear);
    const modules = fresh.flatMap(moduleNodes).map(nodeMessage);
    const shares = here.flatMap((linear) =>
      linear.blocks.flatMap((block, index) =>
        block.node === node ? [{ ...block, delta: deltaOf(linear, index) }] : [],
      ),
    );
    edits.set(node, [...modules, ...sumNodes(node, shares)]);
  }
  return edits;
};
