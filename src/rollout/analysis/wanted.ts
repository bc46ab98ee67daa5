import type { ExternalSource } from '../../api/analysis.ts';

/** A number that has to be fetched from elsewhere before a decision can go on. */
export type Wanted = {
  /** Of the metric, in one attempt of one canary. */
  readonly id: string;
  /** Counts the measurements of the metric from 0. */
  readonly number: number;
  readonly source: ExternalSource;
};

/** The result of such a fetch. */
export type MeasuredValue = { readonly value: number } | { readonly error: string };
