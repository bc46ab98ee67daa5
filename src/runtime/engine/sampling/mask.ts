/** As native/sampling has it: finite, so that sums of logits stay numbers; such a token is never drawn. */
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
