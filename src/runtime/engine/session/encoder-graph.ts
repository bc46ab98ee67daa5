import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { OnnxSession, TensorInfo } from '../ort/session.ts';
import type { Pooling } from '../tasks.ts';

export const inputIds = 'input_ids';
export const attentionMask = 'attention_mask';
export const tokenTypeIds = 'token_type_ids';

/** What an encoder's graph gives, by name. */
export type EncoderOutputs = {
  /** [batch, tokens, size] */
  readonly hidden: string | undefined;
  /** [batch, size] of [CLS], through a linear and tanh: what classification heads take. */
  readonly pooler: string | undefined;
  /** [batch, size], pooled by the graph itself. */
  readonly sentence: string | undefined;
};

const outputNames = {
  hidden: ['last_hidden_state', 'token_embeddings'],
  pooler: ['pooler_output'],
  sentence: ['sentence_embedding'],
} as const;

const unsupported = (what: string): AdaptletError =>
  new AdaptletError('MODEL_UNSUPPORTED', what, {
    advice:
      'Export the encoder with optimum, in float32, with open batch and sequence, and without LoRA inputs.',
  });

/** True for graphs that this engine takes as encoders. */
export const isEncoder = (graph: {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}): boolean =>
  graph.inputs.includes(inputIds) &&
  Object.values(outputNames).some((names) => names.some((name) => graph.outputs.includes(name)));

const shown = ({ name, type, shape }: TensorInfo): string =>
  `${name} ${type ?? 'of another type'} [${shape.map((size) => (size === '' ? '?' : size)).join(', ')}]`;

const outputOf = (
  session: Pick<OnnxSession, 'outputs'>,
  names: readonly string[],
  rank: number,
): string | undefined => {
  const output = session.outputs.find(({ name }) => names.includes(name));
  if (output === undefined) return undefined;
  if (output.type === 'float32' && output.shape.length === rank) return output.name;
  throw unsupported(`The output ${shown(output)} must be float32 and have ${rank} dimensions`);
};

/**
 * The outputs that are understood.
 * @throws MODEL_UNSUPPORTED
 */
export const readEncoderOutputs = (session: Pick<OnnxSession, 'outputs'>): EncoderOutputs => {
  const hidden = outputOf(session, outputNames.hidden, 3);
  const pooler = outputOf(session, outputNames.pooler, 2);
  const sentence = outputOf(session, outputNames.sentence, 2);
  return { hidden, pooler, sentence };
};

/**
 * The inputs of a step, compared with what will be fed: exactly these and `loraNames`. ONNX Runtime ignores a feed that it
 * does not know, so a difference here would be a silently wrong answer later.
 * @throws MODEL_UNSUPPORTED
 */
export const readEncoderInputs = (
  session: Pick<OnnxSession, 'inputs'>,
  loraNames: readonly string[],
): readonly string[] => {
  const there = new Set(session.inputs.map(({ name }) => name));
  const names = [inputIds, attentionMask, ...(there.has(tokenTypeIds) ? [tokenTypeIds] : [])];
  const expected = new Set([...names, ...loraNames]);
  const missing = [...expected].filter((name) => !there.has(name));
  const surplus = [...there].filter((name) => !expected.has(name));
  if (missing.length > 0 || surplus.length > 0) {
    throw unsupported(
      `The graph lacks the inputs [${missing.slice(0, 5).join(', ')}] and has [${surplus.slice(0, 5).join(', ')}] that nothing feeds`,
    );
  }
  for (const input of session.inputs.filter(({ name }) => names.includes(name))) {
    const open = input.shape.every((size) => typeof size === 'string');
    if (input.type !== 'int64' || input.shape.length !== 2 || !open) {
      throw unsupported(`The input ${shown(input)} must be int64 and have two dimensions of any size`);
    }
  }
  return names;
};

/**
 * The output that embeddings are made of.
 * @throws MODEL_UNSUPPORTED
 */
export const embeddingOutput = (outputs: EncoderOutputs, pooling: Pooling): string => {
  const name = { mean: outputs.hidden, cls: outputs.hidden, pooler: outputs.pooler, model: outputs.sentence }[
    pooling
  ];
  if (name !== undefined) return name;
  const there = Object.values(outputs).filter((output) => output !== undefined);
  throw new AdaptletError(
    'MODEL_UNSUPPORTED',
    `The graph gives [${there.join(', ')}], which the pooling ${pooling} cannot be made of`,
    { advice: 'Choose another pooling, or export the encoder with the output that this one needs.' },
  );
};
