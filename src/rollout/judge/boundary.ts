/**
 * How far an estimate may be from the truth, in standard errors, at *every* look at once.
 *
 * Asymptotic confidence sequences: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and
 * asymptotic confidence sequences" (2021, arXiv:2103.06476; Annals of Statistics 2024), the normal mixture of Robbins
 * (1970) with an estimated variance. Valid however often and whenever one looks, in the limit of many observations.
 *
 * `alpha`: chance that the sequence ever excludes the truth. `size`: observations so far. `tightestAt`: the size at which
 * the bound is closest; it must not depend on the data.
 */
export type Look = { readonly alpha: number; readonly size: number; readonly tightestAt: number };

/** The paper's rho squared times the size, for two sides; one side takes 2 alpha (there in the appendix). */
const scaled = (alpha: number, { size, tightestAt }: Look): number => {
  const information = -2 * Math.log(alpha);
  return ((information + Math.log(information + 1)) * size) / tightestAt;
};

/** One side: the truth is below estimate - boundary * standard error with a chance of at most alpha. */
export const oneSidedBoundary = (look: Look): number => {
  const v = scaled(Math.min(0.5, 2 * look.alpha), look);
  return Math.sqrt((1 + 1 / v) * 2 * Math.log(1 + Math.sqrt(v + 1) / (2 * look.alpha)));
};

/** Both sides together. */
export const twoSidedBoundary = (look: Look): number => {
  const v = scaled(look.alpha, look);
  return Math.sqrt((1 + 1 / v) * 2 * Math.log(Math.sqrt(v + 1) / look.alpha));
};

/**
 * The same chance for an estimate whose standard error is itself estimated, from few independent callers: a normal
 * quantile as one of Student's t (Abramowitz, Stegun 26.7.5, the first two terms). `freedom`: degrees of freedom, above 0.
 */
export const studentised = (z: number, freedom: number): number =>
  z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2);
