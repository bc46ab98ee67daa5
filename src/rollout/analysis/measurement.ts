import type { ExternalSource } from '../../api/analysis.ts';

/** A number that somebody has to fetch from another server before a decision can go on. */
export type MeasurementRequest = {
  /** Of the metric, in one attempt of one canary. */
  readonly id: string;
  /** Counts the measurements of the metric from 0. */
  readonly number: number;
  readonly source: ExternalSource;
};

/** What came of it: a number, which may be NaN or infinite, or a sentence that says why there is none. */
export type MeasurementResult = { readonly value: number } | { readonly error: string };
