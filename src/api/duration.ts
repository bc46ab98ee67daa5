import { celMatches, formed, matching } from './text.ts';

declare const brand: unique symbol;
/** A length of time in milliseconds. */
export type Millis = number & { readonly [brand]: 'Millis' };

const durationPattern = /^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/;
const partPattern = /([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)/g;
const millisOf: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Timers and budgets never need more; it keeps sums far from the limits of numbers. */
const maxMs = 8_784 * 3_600_000;

const form = 'must be a duration such as 500ms, 30s, 1m30s or 24h (units: ms, s, m, h)';

const read = (value: string): number | undefined => {
  if (value.length > 32 || !durationPattern.test(value)) return undefined;
  let sum = 0;
  for (const [, count, unit] of value.matchAll(partPattern))
    sum += Number(count) * (millisOf[unit ?? ''] ?? 0);
  return Math.round(sum);
};

/**
 * Reads a Go-style duration (`30s`, `1m30s`, `500ms`; https://pkg.go.dev/time#ParseDuration without signs and without
 * units below a millisecond), at most 8784h. A field of a validated manifest never throws.
 * @throws RangeError with the reason
 */
export const parseDuration = (value: string): Millis => {
  const ms = read(value);
  if (ms === undefined) throw new RangeError(`"${value.slice(0, 40)}" ${form}`);
  if (ms > maxMs) throw new RangeError(`"${value}" must be at most 8784h`);
  return ms as Millis;
};

/** So many digits of each unit that CEL can add them up; what has more is above the limit. */
const countable =
  /^(0*([0-9]{1,12}(\.[0-9]+)?ms|[0-9]{1,9}(\.[0-9]+)?s|[0-9]{1,7}(\.[0-9]+)?m|[0-9]{1,5}(\.[0-9]+)?h))+$/;

/** A field that holds a Go-style duration as text; {@link parseDuration} reads it. */
export const durationSchema = formed(32, matching(durationPattern, form), {
  holds: (value) => (read(value) ?? 0) <= maxMs,
  rule: `${celMatches(countable)} && duration(self) <= duration("8784h")`,
  advice: 'must be at most 8784h',
});

/** Like {@link durationSchema}, from `least` to `most`, which are durations as well. */
export const durationBetween = (min: string, max: string) =>
  formed(32, matching(durationPattern, form), {
    holds: (value) => {
      const ms = read(value) ?? 0;
      return ms >= parseDuration(min) && ms <= parseDuration(max);
    },
    rule: `${celMatches(countable)} && duration(self) >= duration("${min}") && duration(self) <= duration("${max}")`,
    advice: `must be from ${min} to ${max}`,
  });
