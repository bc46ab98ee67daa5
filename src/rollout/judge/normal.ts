/**
 * Upper tail of the standard normal distribution, P(Z > z), with a relative error below 1.2e-7: the Chebyshev fit of erfc
 * of Press et al., "Numerical Recipes" (2nd ed., 6.2).
 */
export const normalTail = (z: number): number => {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + x / 2);
  const fit = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
    -0.82215223, 0.17087277,
  ].reduceRight((sum, c) => sum * t + c, 0);
  const upper = (t * Math.exp(-x * x + fit)) / 2;
  return z >= 0 ? upper : 1 - upper;
};

/** Upper tail of Student's t, by the normal that has about the same (Abramowitz, Stegun 26.7.8): too large rather than too small. */
export const studentTail = (t: number, freedom: number): number =>
  normalTail((t * (1 - 1 / (4 * freedom))) / Math.sqrt(1 + (t * t) / (2 * freedom)));
