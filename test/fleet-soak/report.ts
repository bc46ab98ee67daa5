import type { Fit } from './growth.ts';
import type { Promised, Violation } from './story.ts';

type Counts = Readonly<Record<string, number>>;

/** What happened in a soak, as it is saved. */
export type Report = {
  readonly seed: number;
  readonly minutes: number;
  readonly startedAt: string;
  readonly commit: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string };
  readonly fleet: Counts;
  /** From the first fault to the end. */
  readonly seconds: number;
  /** Cores that all of it used on average. */
  readonly cores: number;
  /** Times at which the machine stood still for seconds. */
  readonly stalls: number;
  readonly faults: Counts;
  /** Reports of hollow runtimes that were false, by what they said falsely. Absent: a soak of before they were counted. */
  readonly lies?: Counts;
  /** Requests to stable names by how they ended. */
  readonly requests: Counts;
  readonly arms: Counts;
  /** Answers whose possible digests were all seen, those that were judged loosely, and pairs of a pinned user. */
  readonly judged: Counts;
  readonly rollouts: Counts;
  readonly byHand: Counts;
  readonly noisy: Counts;
  readonly inForce: Counts;
  /** Until every runtime had the newest plan, when all was calm at the end. */
  readonly newestAfterSeconds?: number;
  readonly violated: Readonly<Record<Promised, number>>;
  readonly violations: readonly Violation[];
  readonly growth: readonly Fit[];
  /** What somebody found out about the violations, a sentence or two each. Written by hand. */
  readonly notes?: readonly string[];
};

export const isClean = ({ violated }: Report): boolean =>
  Object.values(violated).every((count) => count === 0);
