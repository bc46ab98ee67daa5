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
 * Moves the logits of the tokens that may come to the front, in the order of the ids, and writes these into `ids`.
 * @returns how many there are
 */
export const gather = (mask: Uint32Array, logits: Float32Array, ids: Int32Array): number => {
  let count = 0;
  let bits = 0;
  for (let id = 0; id < logits.length; id += 1) {
    bits = (id & 31) === 0 ? (mask[id >> 5] ?? 0) : bits >>> 1;
    // Written in any case and kept or not: a branch that follows no rule costs more.
    ids[count] = id;
    logits[count] = logits[id] ?? 0;
    count += bits & 1;
  }
  return count;
};
