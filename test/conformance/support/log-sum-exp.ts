/** log(sum(exp(logits))), in float64. */
export const logSumExp = (logits: Float32Array): number => {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity);
  return largest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
};
