import { constantOf, integersOf, producersOf } from './constants.ts';
import {
  applyEdit,
  attributeOf,
  type Graph,
  type Initializer,
  integerAttribute,
  type Node,
  readGraphMessage,
} from './graph.ts';
import { nodeMessage, valueInfoMessage, withInput } from './messages.ts';
import { attributeField, elementType, tensorField } from './schema.ts';
import { contentField, contentOf, readFields } from './wire.ts';

/** The input that says which row of the tables of positions each token takes. int64 [batch, tokens]. */
export const tableRowsInput = 'table_rows';

/**
 * Sequences of more than `above` tokens have their positions in the rows from `offset` on, `rows` of them; shorter ones in those
 * before.
 */
export type PositionTables = { readonly above: number; readonly offset: number; readonly rows: number };

export type JoinedTables = { readonly model: Buffer; readonly tables: PositionTables };

const attention = 'GroupQueryAttention';
const place = { cos: 7, sin: 8, positions: 9 } as const;
const tablePlaces: readonly number[] = [place.cos, place.sin];
/** What gives the number that it is given. */
const passing = new Set(['Cast', 'Identity', 'Squeeze', 'Unsqueeze']);

type Reading = { readonly graph: Graph; readonly producers: ReadonlyMap<string, Node> };

/** True for the second size of the attention mask: the tokens of the longest sequence of a step. */
const isWidth = ({ graph, producers }: Reading, value: string): boolean => {
  for (let name = value; ; ) {
    const node = producers.get(name);
    const [input = '', index = ''] = node?.inputs ?? [];
    if (node !== undefined && passing.has(node.opType)) name = input;
    else if (node?.opType === 'Gather') {
      const at = constantOf(graph, producers, index);
      const shape = producers.get(input);
      return (
        at !== undefined &&
        integersOf(at)?.join() === '1' &&
        shape?.opType === 'Shape' &&
        shape.inputs[0] === 'attention_mask' &&
        attributeOf(shape, 'start') === undefined
      );
    } else return false;
  }
};

/** `width > border`: the border. */
const borderOf = (reading: Reading, condition: Node | undefined): number | undefined => {
  if (condition?.opType !== 'Greater') return undefined;
  const [left = '', right = ''] = condition.inputs;
  const constant = constantOf(reading.graph, reading.producers, right);
  const [border, ...more] = (constant && integersOf(constant)) ?? [];
  return isWidth(reading, left) && more.length === 0 ? border : undefined;
};

/** What a branch of an If gives, when these are constant tables. */
const branchTables = (node: Node, branch: string): readonly Initializer[] | undefined => {
  const attribute = attributeOf(node, branch);
  const field = attribute && readFields(attribute).find((f) => f.number === attributeField.graph);
  if (attribute === undefined || field === undefined) return undefined;
  const graph = readGraphMessage(contentOf(attribute, field));
  const producers = producersOf(graph);
  const tables = graph.outputs.flatMap((output) => constantOf(graph, producers, output) ?? []);
  const good = tables.every(({ dims, dataType }) => dims.length === 2 && dataType === elementType.float);
  return good && tables.length === node.outputs.length ? tables : undefined;
};

type Switch = {
  readonly node: Node;
  readonly condition: Node;
  readonly above: number;
  readonly offset: number;
  readonly rows: number;
  /** By output of the node. */
  readonly tables: readonly { readonly short: Initializer; readonly long: Initializer }[];
};

const switchOf = (reading: Reading, node: Node): Switch | undefined => {
  const condition = reading.producers.get(node.inputs[0] ?? '');
  const above = borderOf(reading, condition);
  const long = branchTables(node, 'then_branch');
  const short = branchTables(node, 'else_branch');
  if (condition === undefined || above === undefined || long === undefined || short === undefined)
    return undefined;
  const tables = short.flatMap((table, at) => {
    const other = long[at];
    return other === undefined || other.dims[1] !== table.dims[1] ? [] : [{ short: table, long: other }];
  });
  const [offset = 0, ...others] = new Set(short.map(({ dims }) => dims[0] ?? 0));
  // Positions of short sequences are in the short tables.
  if (tables.length !== node.outputs.length || others.length > 0 || offset < above) return undefined;
  const rows = Math.min(...long.map(({ dims }) => dims[0] ?? 0));
  return { node, condition, above, offset, rows, tables };
};

/** The attentions that take tables which a switch gives; undefined where anything else does, or in another way. */
const attentionsOf = ({ graph }: Reading, given: ReadonlySet<string>): readonly Node[] | undefined => {
  const takers = graph.nodes.filter(({ inputs }) => inputs.some((input) => given.has(input)));
  const good = takers.every(
    (node) =>
      node.opType === attention &&
      integerAttribute(node, 'do_rotary') === 1 &&
      (node.inputs[place.positions] ?? '') === '' &&
      node.inputs.every((input, at) => given.has(input) === tablePlaces.includes(at)),
  );
  return good && takers.length > 0 && !graph.outputs.some((output) => given.has(output)) ? takers : undefined;
};

const named = ({ bytes }: Initializer, name: string): Buffer =>
  Buffer.concat([
    ...readFields(bytes)
      .filter(({ number }) => number !== tensorField.name)
      .map(({ start, end }) => bytes.subarray(start, end)),
    contentField(tensorField.name, name),
  ]);

/** Nodes in place of an If: its tables, the long one below the short one. */
const joins = ({ node, tables }: Switch) =>
  node.outputs.map((output, at) => {
    const [short, long] = [`${output}.short`, `${output}.long`];
    const found = tables[at];
    return {
      initializers: found === undefined ? [] : [named(found.short, short), named(found.long, long)],
      node: nodeMessage({
        opType: 'Concat',
        name: `${output}.join`,
        inputs: [short, long],
        outputs: [output],
        attributes: { axis: 0 },
      }),
    };
  });

/**
 * The builder's graphs of LongRoPE choose cos and sin by the longest sequence of a step: `If(width > border)`. Here the tables
 * are joined, and an input says which row of them each token takes: every sequence has its own table then. ONNX Runtime joins
 * constants when it optimises a graph, so this is for graphs that it has not optimised yet.
 *
 * Undefined where a graph has no such switch, or one in another form.
 * @throws MODEL_INVALID
 */
export const joinPositionTables = (graph: Graph): JoinedTables | undefined => {
  const reading = { graph, producers: producersOf(graph) };
  const ifs = graph.nodes.filter(({ opType }) => opType === 'If');
  const switches = ifs.flatMap((node) => switchOf(reading, node) ?? []);
  const [first] = switches;
  if (first === undefined || switches.length !== ifs.length) return undefined;
  const { above, offset } = first;
  if (!switches.every((other) => other.above === above && other.offset === offset)) return undefined;
  const given = new Set(switches.flatMap(({ node }) => node.outputs));
  const takers = attentionsOf(reading, given);
  // A table more would belong to other attentions: all of them get the same rows.
  const all = graph.nodes.filter(({ opType }) => opType === attention);
  if (takers === undefined || takers.length !== all.length) return undefined;
  const conditions = new Set(switches.map(({ condition }) => condition));
  const removed = (node: Node): boolean =>
    conditions.has(node) &&
    !graph.nodes.some((other) => !ifs.includes(other) && other.inputs.includes(node.outputs[0] ?? ''));
  const joined = new Map(switches.map((found) => [found.node, joins(found)]));
  const model = applyEdit(graph, {
    nodes: new Map<Node, readonly Buffer[]>([
      ...[...joined].map(([node, parts]) => [node, parts.map((part) => part.node)] as const),
      ...takers.map((node) => [node, [withInput(node, place.positions, tableRowsInput)]] as const),
      ...[...conditions].filter(removed).map((node) => [node, []] as const),
    ]),
    newInitializers: [...joined.values()].flat().flatMap(({ initializers }) => initializers),
    newInputs: [valueInfoMessage(tableRowsInput, elementType.int64, ['batch_size', 'sequence_length'])],
    staleShapes: given,
    outputs: new Map(),
  });
  const rows = Math.min(...switches.map((found) => found.rows));
  return { model, tables: { above, offset, rows } };
};
