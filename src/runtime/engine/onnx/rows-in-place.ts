import { producersOf } from './constants.ts';
import { applyEdit, type Graph, type GraphTensor, integerAttribute, type Node, tensorsOf } from './graph.ts';
import { integersMessage, type NewNode, nodeMessage, valueInfoMessage } from './messages.ts';
import { elementType } from './schema.ts';

/** Inputs that say where the tokens of a step are, in rows of keys and values, [rows, heads, room, size]. int64. */
export const rowInputs = {
  /** [rows, heads, 1]: where each head of each row begins, counted in tokens from the first one of the first row. */
  heads: 'kv_heads',
  /** [rows, 1, past]: the tokens of a row that are there already, those that pad shorter rows first. */
  past: 'kv_past',
  /** [rows, 1, tokens]: those that come with the step. */
  added: 'kv_added',
  /** [rows, heads, tokens, 3]: row, head and token that these are written to. */
  places: 'kv_places',
} as const;

/** Attention that can write the new keys and values behind the old ones, in the same memory. */
const inPlaceAttention = 'GroupQueryAttention';
const pastPattern = /^past_key_values\.\d+\.(?:key|value)$/;
const presentOf = (past: string): string => past.replace('past_key_values', 'present');
/** Keys or values of rows, with room for more. */
const rowsOf = (name: string): string => `${name}.rows`;
/** Nodes that take values without naming them as inputs. */
const subgraphs: ReadonlySet<string> = new Set(['If', 'Loop', 'Scan']);

const cacheInputs = (graph: Graph): readonly GraphTensor[] =>
  tensorsOf(graph, 'inputs').filter(({ name }) => pastPattern.test(name));

/** True where attention writes keys and values where those before them are. */
export const writesInPlace = (graph: Graph): boolean => {
  const producers = producersOf(graph);
  return cacheInputs(graph).every(({ name }) => producers.get(presentOf(name))?.opType === inPlaceAttention);
};

type Appending = { readonly past: string; readonly present: string; readonly node: Node };

/** `present = Concat(past, new)`, token after token. */
const appendingOf = (producers: ReadonlyMap<string, Node>, past: string): readonly Appending[] => {
  const present = presentOf(past);
  const node = producers.get(present);
  if (node?.opType !== 'Concat' || node.inputs.length !== 2 || node.inputs[0] !== past) return [];
  return [2, -2].includes(integerAttribute(node, 'axis') ?? 0) ? [{ past, present, node }] : [];
};

/** The tokens of rows at `indices`: [rows, heads, tokens, size]. */
const readNodes = (from: string, indices: string, to: string): readonly NewNode[] => [
  { opType: 'Reshape', name: `${to}.list`, inputs: [from, 'kv_list'], outputs: [`${to}.list`] },
  {
    opType: 'Gather',
    name: `${to}.read`,
    inputs: [`${to}.list`, indices],
    outputs: [to],
    attributes: { axis: 0 },
  },
];

const indexNodes: readonly NewNode[] = [
  {
    opType: 'Concat',
    name: 'kv_present',
    inputs: [rowInputs.past, rowInputs.added],
    outputs: ['kv_present'],
    attributes: { axis: 2 },
  },
  ...['past', 'present'].map((which) => ({
    opType: 'Add',
    name: `kv_read_${which}`,
    inputs: [rowInputs.heads, `kv_${which}`],
    outputs: [`kv_read_${which}`],
  })),
];

/** What takes the place of the Concat: what is new is written, and all of it read. */
const appendNodes = ({ past, present, node }: Appending): readonly NewNode[] => [
  {
    opType: 'ScatterND',
    name: `${present}.write`,
    inputs: [rowsOf(past), rowInputs.places, node.inputs[1] ?? ''],
    outputs: [rowsOf(present)],
  },
  ...readNodes(rowsOf(present), 'kv_read_present', present),
];

/**
 * A graph that appends to the keys and values that it is fed, as one whose keys and values stay where they are: it is fed rows with
 * room for more, writes the new ones behind those that are there, and reads as many as there are. Rows of a step can have different
 * numbers of them: shorter ones are padded before their first token, with what {@link rowInputs} says.
 *
 * ONNX Runtime's ScatterND copies nothing where its output is fed the memory of its first input: whoever runs the graph does so.
 * Undefined where a graph appends in another form.
 * @throws MODEL_INVALID
 */
export const rowsInPlace = (graph: Graph, headSize: number): Buffer | undefined => {
  const producers = producersOf(graph);
  const infos = cacheInputs(graph);
  const appending = infos.flatMap(({ name }) => appendingOf(producers, name));
  const [info] = infos;
  const [batch, heads] = info?.shape ?? [];
  const [first] = graph.nodes;
  if (
    info === undefined ||
    appending.length < infos.length ||
    batch === undefined ||
    heads === undefined ||
    first === undefined
  )
    return undefined;
  const hidden = graph.nodes.some(({ opType }) => subgraphs.has(opType));
  /** Of few layers something else is asked as well, such as how many tokens there are. */
  const isTaken = ({ past, node }: Appending): boolean =>
    hidden || graph.nodes.some((other) => other !== node && other.inputs.includes(past));
  const before = [
    ...indexNodes,
    ...appending.filter(isTaken).flatMap(({ past }) => readNodes(rowsOf(past), 'kv_read_past', past)),
  ].map(nodeMessage);
  const nodes = new Map(appending.map((each) => [each.node, appendNodes(each).map(nodeMessage)]));
  nodes.set(first, [...before, ...(nodes.get(first) ?? [first.bytes])]);
  const rowsInfo = (name: string): Buffer =>
    valueInfoMessage(rowsOf(name), info.code, ['kv_rows', heads, 'kv_room', headSize]);
  const newInputs: readonly (readonly [string, readonly (number | string)[]])[] = [
    [rowInputs.heads, [batch, heads, 1]],
    [rowInputs.past, [batch, 1, 'kv_past_tokens']],
    [rowInputs.added, [batch, 1, 'kv_added_tokens']],
    [rowInputs.places, [batch, heads, 'kv_added_tokens', 3]],
  ];
  return applyEdit(graph, {
    nodes,
    newInputs: newInputs.map(([name, shape]) => valueInfoMessage(name, elementType.int64, shape)),
    newInitializers: [integersMessage('kv_list', [-1, headSize])],
    staleShapes: new Set(),
    inputs: new Map(appending.map(({ past }) => [past, rowsInfo(past)])),
    outputs: new Map(appending.map(({ present }) => [present, rowsInfo(present)])),
  });
};
