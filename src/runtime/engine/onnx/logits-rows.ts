import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { beforeCasts } from './constants.ts';
import { applyEdit, type Graph, type Node, readGraph } from './graph.ts';
import { featuresOf } from './linear.ts';
import { nodeMessage, renameInput, valueInfoMessage } from './messages.ts';
import { elementType } from './schema.ts';

/** The input that says for which positions of the step logits are wanted. int64 [rows]. */
export const logitsRowsInput = 'logits_rows';
export const logitsOutput = 'logits';

/** What may stand between lm_head and the logits: each works on every row by itself. */
const rowwise = new Set(['Add', 'Cast', 'Div', 'Identity', 'Mul', 'Tanh']);

/** lm_head, and what comes after it. */
type Head = {
  readonly node: Node;
  /** Values from lm_head's output to the logits. */
  readonly passed: ReadonlySet<string>;
  /** The node that makes three dimensions of two again, where lm_head takes rows as a matrix. */
  readonly reshape: Node | undefined;
};

const unsupported = (what: string): AdaptletError => new AdaptletError('MODEL_UNSUPPORTED', what);

const producerOf = (graph: Graph, value: string): Node | undefined =>
  graph.nodes.find((node) => node.outputs.includes(value));

const isConstant = (graph: Graph, value: string): boolean => {
  const stored = beforeCasts(graph, value);
  return graph.initializers.has(stored) || producerOf(graph, stored)?.opType === 'Constant';
};

/** From the logits back to the linear that makes them. */
const findHead = (graph: Graph): Head => {
  const passed = new Set<string>();
  let reshape: Node | undefined;
  let value = logitsOutput;
  for (let depth = 0; depth < 8; depth += 1) {
    const node = producerOf(graph, value);
    if (node === undefined) throw unsupported(`No node of the graph computes ${JSON.stringify(value)}`);
    passed.add(value);
    if (featuresOf(graph, node) !== undefined) return { node, passed, reshape };
    if (node.opType === 'Reshape' && reshape === undefined) reshape = node;
    else if (!rowwise.has(node.opType)) break;
    // PyTorch writes the bias of a linear first.
    value = node.inputs.find((input) => !isConstant(graph, input)) ?? '';
  }
  throw unsupported(
    `The logits come from ${producerOf(graph, value)?.opType ?? 'nothing'}, not from a linear`,
  );
};

/** The builder's `prune_lm_head` keeps the last position only: its input has all of them. */
const beforePruning = (graph: Graph, hidden: string): string => {
  const unsqueeze = producerOf(graph, hidden);
  if (unsqueeze?.name !== '/lm_head/prune/Unsqueeze') return hidden;
  return producerOf(graph, unsqueeze.inputs[0] ?? '')?.inputs[0] ?? hidden;
};

/** The nodes that compute a value from `hidden` and take it themselves, e.g. its Shape. */
const takersOnTheWay = (graph: Graph, value: string, hidden: string): readonly Node[] => {
  const takers = new Set<Node>();
  const seen = new Set<string>();
  const open = [value];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (seen.has(next) || next === hidden) continue;
    seen.add(next);
    const node = producerOf(graph, next);
    if (node === undefined) continue;
    if (node.inputs.includes(hidden)) takers.add(node);
    open.push(...node.inputs);
  }
  return [...takers];
};

type Cut = {
  /** The value with all positions. */
  readonly hidden: string;
  /** The nodes that are to take the wanted ones instead. */
  readonly takers: readonly Node[];
  readonly stale: readonly string[];
};

const cutAt = (graph: Graph, head: Head): Cut => {
  const { node, reshape } = head;
  const [input = ''] = node.inputs;
  const flattened = producerOf(graph, input);
  if (reshape === undefined) {
    if (node.opType === 'Gemm') {
      throw unsupported(`lm_head is ${node.opType}; it must take [batch, rows, hidden]`);
    }
    return { hidden: input, takers: [node], stale: [] };
  }
  const [, shape = ''] = reshape.inputs;
  if (flattened?.opType !== 'Reshape') {
    throw unsupported(
      `The logits are reshaped, but the input of lm_head comes from ${flattened?.opType ?? input}`,
    );
  }
  const [hidden = ''] = flattened.inputs;
  const shapeTakers = takersOnTheWay(graph, shape, hidden);
  if (shapeTakers.length === 0 && !isConstant(graph, shape)) {
    throw unsupported(`The shape of the logits, ${shape}, does not follow from lm_head's input`);
  }
  return { hidden, takers: [flattened, ...shapeTakers], stale: [input] };
};

/**
 * Puts a gather of the wanted rows before lm_head. Exported graphs compute and copy the logits of every position;
 * of a prompt only the last one is needed. All rows in order give the full logits.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED
 */
export const gatherLogitsRows = (model: Buffer): Buffer => {
  const graph = readGraph(model);
  const head = findHead(graph);
  const { hidden, takers, stale } = cutAt(graph, head);
  const wanted = `${hidden}.wanted`;
  const gather = nodeMessage({
    opType: 'Gather',
    name: logitsRowsInput,
    inputs: [beforePruning(graph, hidden), logitsRowsInput],
    outputs: [wanted],
    attributes: { axis: 1 },
  });
  const inOrder = graph.nodes.filter((node) => takers.includes(node));
  const edits = inOrder.map((node, index): [Node, readonly Buffer[]] => {
    const renamed = renameInput(node, hidden, wanted);
    return [node, index === 0 ? [gather, renamed] : [renamed]];
  });
  const vocabulary = featuresOf(graph, head.node)?.outFeatures ?? 0;
  const logits = valueInfoMessage(logitsOutput, elementType.float, ['batch_size', 'rows', vocabulary]);
  return applyEdit(graph, {
    nodes: new Map(edits),
    newInputs: [valueInfoMessage(logitsRowsInput, elementType.int64, ['rows'])],
    staleShapes: new Set([...head.passed, ...stale]),
    outputs: new Map([[logitsOutput, logits]]),
  });
};
