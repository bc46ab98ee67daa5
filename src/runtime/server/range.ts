import { refuse } from './refuse.ts';

export type Range = { readonly min: number; readonly max: number; readonly whole?: boolean };

/**
 * The value, if it lies in the range.
 * @throws REQUEST_INVALID with the field's name
 */
export const within = (name: string, value: number, { min, max, whole = false }: Range): number =>
  Number.isFinite(value) && value >= min && value <= max && (!whole || Number.isInteger(value))
    ? value
    : refuse(`${name} is ${value}, it must be ${whole ? 'a whole number ' : ''}from ${min} to ${max}`);

/** The value, if it lies in the range and is not the range's beginning. */
export const above = (name: string, value: number, range: Range): number =>
  value === range.min
    ? refuse(`${name} is ${value}, it must be above ${range.min}`)
    : within(name, value, range);

/** The first id that no vocabulary of that size has. 0: the size is not known yet. */
export const outside = (ids: readonly number[], vocabSize: number): number | undefined => {
  const limit = vocabSize > 0 ? vocabSize : Number.MAX_SAFE_INTEGER;
  return ids.find((id) => !Number.isSafeInteger(id) || id < 0 || id >= limit);
};
