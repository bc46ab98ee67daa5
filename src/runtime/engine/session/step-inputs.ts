import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { logitsOutput, logitsRowsInput } from '../onnx/logits-rows.ts';
import { tableRowsInput } from '../onnx/position-tables.ts';
import { rowInputs } from '../onnx/rows-in-place.ts';
import type { OnnxSession, TensorInfo } from '../ort/session.ts';
import type { CacheShape, KvElement } from './kv-cache.ts';

/** The inputs and outputs of a decoder graph that change with every step. */
export type StepInputs = {
  /** In the order in which a step feeds them; the cache follows. */
  readonly names: readonly string[];
  /** Past input and present output of each layer's keys and values, in the same order. */
  readonly cache: readonly { readonly past: string; readonly present: string }[];
  readonly cacheShape: CacheShape;
  readonly vocabSize: number;
};

export const inputIds = 'input_ids';
export const attentionMask = 'attention_mask';
export const positionIds = 'position_ids';
/** Of a graph as it was exported, or with {@link rowsInPlace}. */
const pastPattern = /^past_key_values\.(\d+)\.(key|value)(\.rows)?$/;

const unsupported = (what: string): AdaptletError => new AdaptletError('MODEL_UNSUPPORTED', what);

/**
 * Reads the decoder's inputs from a session and compares them with what will be fed: exactly `loraNames` and the
 * inputs of a step. ONNX Runtime ignores a feed that it does not know, so a difference here would be a silently wrong
 * answer later.
 * @throws MODEL_UNSUPPORTED
 */
export const readStepInputs = (
  session: Pick<OnnxSession, 'inputs' | 'outputs'>,
  loraNames: readonly string[],
  headSize: number,
): StepInputs => {
  const there = new Set(session.inputs.map(({ name }) => name));
  const cache = [...there]
    .filter((name) => pastPattern.test(name))
    .map((past) => ({ past, present: past.replace('past_key_values', 'present') }));
  const names = [inputIds, attentionMask, logitsRowsInput];
  const others = [positionIds, tableRowsInput, ...Object.values(rowInputs)];
  names.push(...others.filter((name) => there.has(name)));
  const expected = new Set([...names, ...cache.map(({ past }) => past), ...loraNames]);
  const missing = [...expected].filter((name) => !there.has(name));
  const surplus = [...there].filter((name) => !expected.has(name));
  if (missing.length > 0 || surplus.length > 0) {
    throw unsupported(
      `The graph lacks the inputs [${missing.slice(0, 5).join(', ')}] and has [${surplus.slice(0, 5).join(', ')}] that nothing feeds`,
    );
  }
  const absent = cache.filter(({ present }) => !session.outputs.some(({ name }) => name === present));
  if (cache.length === 0 || absent.length > 0) {
    throw unsupported(`The graph has ${cache.length} past inputs, ${absent.length} without a present output`);
  }
  return {
    names,
    cache,
    cacheShape: cacheShapeOf(session.inputs, headSize),
    vocabSize: vocabSizeOf(session.outputs.find(({ name }) => name === logitsOutput)),
  };
};

/**
 * Keys and values as a graph takes them.
 * @throws MODEL_UNSUPPORTED
 */
export const cacheShapeOf = (inputs: readonly TensorInfo[], headSize: number): CacheShape => {
  const pasts = inputs.filter(({ name }) => pastPattern.test(name));
  return { entries: pasts.length, kvHeads: kvHeadsOf(pasts), headSize, element: elementOf(pasts) };
};

const isFixed = (size: number | string | undefined): size is number => typeof size === 'number';

const kvHeadsOf = (pasts: readonly TensorInfo[]): number => {
  const [first] = pasts;
  const kvHeads = first?.shape[1];
  for (const { name, shape } of pasts) {
    if (shape.length === 4 && isFixed(kvHeads) && shape[1] === kvHeads) continue;
    throw unsupported(
      `The input ${name} has the shape [${shape.join(', ')}], not [batch, ${kvHeads} heads, past, size]`,
    );
  }
  return isFixed(kvHeads) ? kvHeads : 0;
};

/** Of all keys and values; int8 comes from {@link quantiseCache} only, which `openDecoderSessions` asks for. */
const elementOf = (pasts: readonly TensorInfo[]): KvElement => {
  const type = pasts[0]?.type;
  for (const past of pasts) {
    if ((past.type !== 'float32' && past.type !== 'int8') || past.type !== type)
      throw unsupported(`The input ${past.name} is ${past.type ?? 'of an unknown type'}, not float32`);
  }
  return type === 'int8' ? 'int8' : 'float32';
};

const vocabSizeOf = (logits: TensorInfo | undefined): number => {
  const size = logits?.shape.at(-1);
  if (logits?.type === 'float32' && isFixed(size)) return size;
  throw unsupported(`The graph has no float32 output ${logitsOutput} of a fixed vocabulary`);
};
