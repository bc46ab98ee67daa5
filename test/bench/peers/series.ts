import { quantile } from '../report.ts';

/** Numbers by key, one per round. */
export class Series {
  readonly all = new Map<string, number[]>();

  add(key: string, value: number): void {
    this.all.set(key, [...(this.all.get(key) ?? []), value]);
  }

  get(key: string): readonly number[] | undefined {
    return this.all.get(key);
  }

  /** How many times as fast one is as another, as the median of the ratios within a round; undefined without both. */
  speed(mine: string, its: string): number | undefined {
    const [a, b] = [this.get(mine), this.get(its)];
    if (a === undefined || b === undefined) return undefined;
    const rounds = a.flatMap((value, i) => {
      const other = b[i];
      return other === undefined ? [] : [other / value];
    });
    return quantile(rounds, 0.5);
  }
}
