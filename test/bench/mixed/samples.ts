import { quantile } from '../report.ts';
import type { Crowd } from '../traffic/crowd.ts';
import {
  firstTokensMs,
  isFull,
  shortAnswers,
  tokenGapsMs,
  tokensPerSecond,
  windowAfter,
} from '../traffic/window.ts';
import type { Arm } from './arms.ts';

/** Answers that fill the rows and are not measured, and answers in all: two generations of rows are. */
export const blockOf = ({ rows }: Arm): { readonly skip: number; readonly answers: number } =>
  rows === 1 ? { skip: 1, answers: 6 } : { skip: rows, answers: 3 * rows };

/** Of the ratios within each round, so that what slows a whole round down drops out; undefined without any. */
export const medianRatio = (values: readonly number[], over: readonly number[]): number | undefined => {
  const ratios = values.flatMap((value, i) => (over[i] === undefined ? [] : [value / over[i]]));
  return ratios.length === 0 ? undefined : quantile(ratios, 0.5);
};

/** What the blocks of one number of threads gave, by key. */
export class Samples {
  readonly all = new Map<string, number[]>();
  /** Blocks in which a row became free and nothing waited for it. */
  blocksNotFull = 0;
  shortAnswers = 0;
  answers = 0;

  add(arm: Arm, crowd: Crowd): void {
    const { skip } = blockOf(arm);
    const window = windowAfter(crowd, skip);
    this.#push(`tps_${arm.name}`, [tokensPerSecond(crowd.asked, window)]);
    this.#push(`gap_${arm.name}`, tokenGapsMs(crowd.asked, window));
    this.#push(`first_${arm.name}`, firstTokensMs(crowd.asked, window));
    if (!isFull(crowd, skip, arm.rows)) this.blocksNotFull += 1;
    this.shortAnswers += shortAnswers(crowd);
    this.answers += crowd.openAfter.length;
  }

  /** Tokens per second of one arm over another's. */
  speedUp(arm: string, over: string): number | undefined {
    return medianRatio(this.all.get(`tps_${arm}`) ?? [], this.all.get(`tps_${over}`) ?? []);
  }

  /** The same over the fastest of several ways to do one thing. */
  speedUpOverBest(arm: string, ways: readonly string[]): number | undefined {
    const all = ways.flatMap((way) => this.speedUp(arm, way) ?? []);
    return all.length === 0 ? undefined : Math.min(...all);
  }

  #push(key: string, values: readonly number[]): void {
    const all = this.all.get(key) ?? [];
    all.push(...values);
    this.all.set(key, all);
  }
}
