/** How far a converted adapter is from the one before. Relative: Frobenius norm of the difference over that of the tensor. */
export type StatedError = {
  readonly tensors: number;
  /** The largest difference of any weight. */
  readonly maxAbs: number;
  readonly maxAbsTensor: string;
  readonly relative: {
    /** Of all tensors as one. */
    readonly overall: number;
    /** Of the tensors. */
    readonly mean: number;
    readonly worst: number;
    readonly worstTensor: string;
  };
};

const ratio = (difference: number, norm: number): number => (norm === 0 ? 0 : Math.sqrt(difference / norm));

/** Collects what each tensor lost. */
export class Deviation {
  #tensors = 0;
  #differences = 0;
  #norms = 0;
  #ratios = 0;
  #maxAbs = 0;
  #maxAbsTensor = '';
  #worst = 0;
  #worstTensor = '';

  add(name: string, before: Float32Array, after: Float32Array): void {
    let difference = 0;
    let norm = 0;
    let largest = 0;
    for (let at = 0; at < before.length; at++) {
      const value = before[at] ?? 0;
      const lost = Math.abs((after[at] ?? 0) - value);
      difference += lost * lost;
      norm += value * value;
      if (lost > largest) largest = lost;
    }
    this.#tensors += 1;
    this.#differences += difference;
    this.#norms += norm;
    const relative = ratio(difference, norm);
    this.#ratios += relative;
    if (largest > this.#maxAbs || this.#tensors === 1) [this.#maxAbs, this.#maxAbsTensor] = [largest, name];
    if (relative > this.#worst || this.#tensors === 1) [this.#worst, this.#worstTensor] = [relative, name];
  }

  get stated(): StatedError {
    return {
      tensors: this.#tensors,
      maxAbs: this.#maxAbs,
      maxAbsTensor: this.#maxAbsTensor,
      relative: {
        overall: ratio(this.#differences, this.#norms),
        mean: this.#tensors === 0 ? 0 : this.#ratios / this.#tensors,
        worst: this.#worst,
        worstTensor: this.#worstTensor,
      },
    };
  }
}
