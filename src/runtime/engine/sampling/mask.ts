import { AdaptletError } from '../../../errors/adaptlet-error.ts';

/** Finite, so that sums of logits stay numbers; nothing is left of it beside a token that may come. */
const lowest = -3.4028234663852886e38;

/** Whether the bit of a token is set, 32 of them a word. Those beyond the mask never come. */
export const mayCome = (mask: Uint32Array, id: number): boolean =>
  (((mask[id >> 5] ?? 0) >>> (id & 31)) & 1) === 1;

/** Whether the token of this logit was left out. */
export const isForbidden = (logit: number | undefined): boolean => logit === lowest;

/** Leaves tokens out, but for those whose logits are no numbers: that is told. */
export const forbid = (ids: readonly number[], logits: Float32Array): void => {
  for (const id of ids) if (Number.isFinite(logits[id])) logits[id] = lowest;
};

/**
 * Leaves the logits of tokens that may come.
 * @throws LOGITS_NOT_FINITE, also of those that may not come
 */
export const allowOnly = (mask: Uint32Array, logits: Float32Array): void => {
  let sum = 0;
  let bits = 0;
  for (let id = 0; id < logits.length; id += 1) {
    bits = (id & 31) === 0 ? (mask[id >> 5] ?? 0) : bits >>> 1;
    sum += logits[id] ?? NaN;
    if ((bits & 1) === 0) logits[id] = lowest;
  }
  if (!Number.isFinite(sum))
    throw new AdaptletError('LOGITS_NOT_FINITE', 'The logits of a step are NaN or infinite');
};
