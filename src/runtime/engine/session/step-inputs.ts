import type { InferenceSession } from 'onnxruntime-node';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { logitsRowsInput } from '../onnx/logits-rows.ts';

/** The inputs and outputs of a decoder graph that change with every step. */
export type StepInputs = {
  readonly names: ReadonlySet<string>;
  readonly hasPositions: boolean;
  /** Past input and present output of each layer's keys and values, in the same order. */
  readonly cache: readonly { readonly past: string; readonly present: string }[];
  readonly kvHeads: number;
};

export const inputIds = 'input_ids';
export const attentionMask = 'attention_mask';
export const positionIds = 'position_ids';
const pastPattern = /^past_key_values\.(\d+)\.(key|value)$/;

const unsupported = (what: string): AdaptletError => new AdaptletError('MODEL_UNSUPPORTED', what);

/**
 * Reads the decoder's inputs from a session and compares them with what will be fed: exactly `loraNames` and the
 * inputs of a step. ONNX Runtime ignores a feed that it does not know, so a difference here would be a silently wrong
 * answer later. Errors: MODEL_UNSUPPORTED.
 */
export const readStepInputs = (session: InferenceSession, loraNames: readonly string[]): StepInputs => {
  const there = new Set(session.inputNames);
  const cache = session.inputNames
    .filter((name) => pastPattern.test(name))
    .map((past) => ({ past, present: past.replace('past_key_values', 'present') }));
  const names = new Set([inputIds, attentionMask, logitsRowsInput, ...cache.map(({ past }) => past)]);
  if (there.has(positionIds)) names.add(positionIds);
  const expected = new Set([...names, ...loraNames]);
  const missing = [...expected].filter((name) => !there.has(name));
  const surplus = [...there].filter((name) => !expected.has(name));
  if (missing.length > 0 || surplus.length > 0) {
    throw unsupported(
      `The graph lacks the inputs [${missing.slice(0, 5).join(', ')}] and has [${surplus.slice(0, 5).join(', ')}] that nothing feeds`,
    );
  }
  const absent = cache.filter(({ present }) => !session.outputNames.includes(present));
  if (cache.length === 0 || absent.length > 0) {
    throw unsupported(`The graph has ${cache.length} past inputs, ${absent.length} without a present output`);
  }
  return {
    names,
    hasPositions: there.has(positionIds),
    cache,
    kvHeads: kvHeadsOf(session, cache[0]?.past ?? ''),
  };
};

const kvHeadsOf = (session: InferenceSession, past: string): number => {
  const input = session.inputMetadata.find(({ name }) => name === past);
  if (input?.isTensor !== true || input.type !== 'float32') {
    throw unsupported(`The input ${past} is not float32`);
  }
  const [, kvHeads] = input.shape;
  if (input.shape.length === 4 && typeof kvHeads === 'number') return kvHeads;
  throw unsupported(
    `The input ${past} has the shape [${input.shape.join(', ')}], not [batch, heads, past, size]`,
  );
};
