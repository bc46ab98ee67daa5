import { formed, matching } from './text.ts';

/** A share as text, 1% to 100%; {@link percentOf} reads it. */
export const percentSchema = formed(
  4,
  matching(/^([1-9][0-9]?|100)%$/, 'must be a whole percentage from 1% to 100%, such as 90%'),
);

/** Percent of a validated field, 1 to 100. */
export const percentOf = (text: string): number => Number.parseInt(text, 10);
