import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { applyEdit, type Graph, type Node, readGraph } from './graph.ts';
import { featuresOf } from './linear.ts';
import { nodeMessage, renameFirst, valueInfoMessage } from './messages.ts';
import { elementType } from './schema.ts';

/** The input that says for which positions of the step logits are wanted. int64 [rows]. */
export const logitsRowsInput = 'logits_rows';
export const logitsOutput = 'logits';

/** What may stand between lm_head and the logits: each works on every row by itself. */
const rowwise = new Set(['Add', 'Cast', 'Div', 'Identity', 'Mul', 'Tanh']);

const producerOf = (graph: Graph, value: string): Node => {
  const node = graph.nodes.find((candidate) => candidate.outputs.includes(value));
  if (node !== undefined) return node;
  throw new AdaptletError('MODEL_UNSUPPORTED', `No node of the graph computes ${JSON.stringify(value)}`);
};

/** From the logits back to the linear that makes them; the values on the way are collected in `passed`. */
const findHead = (graph: Graph, passed: Set<string>): Node => {
  let value = logitsOutput;
  for (let depth = 0; depth < 8; depth += 1) {
    const node = producerOf(graph, value);
    passed.add(value);
    if (featuresOf(graph, node) !== undefined) return node;
    if (!rowwise.has(node.opType)) break;
    value = node.inputs[0] ?? '';
  }
  throw new AdaptletError(
    'MODEL_UNSUPPORTED',
    `The logits come from ${producerOf(graph, value).opType}, not from a linear`,
  );
};

/**
 * Puts a gather of the wanted rows before lm_head. Exported graphs compute and copy the logits of every position;
 * of a prompt only the last one is needed. All rows in order give the full logits.
 *
 * Errors: MODEL_INVALID, MODEL_UNSUPPORTED.
 */
export const gatherLogitsRows = (model: Buffer): Buffer => {
  const graph = readGraph(model);
  const staleShapes = new Set<string>();
  const head = findHead(graph, staleShapes);
  const features = featuresOf(graph, head);
  const [hidden] = head.inputs;
  if (features === undefined || hidden === undefined || head.opType === 'Gemm') {
    throw new AdaptletError(
      'MODEL_UNSUPPORTED',
      `lm_head is ${head.opType}; it must take [batch, rows, hidden]`,
    );
  }
  const wanted = `${hidden}.wanted`;
  const gather = nodeMessage({
    opType: 'Gather',
    name: logitsRowsInput,
    inputs: [hidden, logitsRowsInput],
    outputs: [wanted],
    attributes: { axis: 1 },
  });
  return applyEdit(graph, {
    nodes: new Map([[head, [gather, renameFirst(head, 'input', wanted)]]]),
    newInputs: [valueInfoMessage(logitsRowsInput, elementType.int64, ['rows'])],
    staleShapes,
    outputs: new Map([
      [
        logitsOutput,
        valueInfoMessage(logitsOutput, elementType.float, ['batch_size', 'rows', features.outFeatures]),
      ],
    ]),
  });
};
