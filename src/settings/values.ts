import { z } from 'zod';
import { type Millis, parseDuration } from '../api/duration.ts';
import { parseQuantity } from '../api/quantity.ts';

const parsed = <T>(parse: (text: string) => T) =>
  z.string().transform((text, context): T => {
    try {
      return parse(text);
    } catch (error) {
      context.addIssue(error instanceof Error ? error.message : String(error));
      return z.NEVER;
    }
  });

/** A size in bytes, written as Kubernetes writes quantities. */
export const bytes = parsed<number>(parseQuantity);

/** The same, or `auto`. */
export const bytesOrAuto = z.union([z.literal('auto'), bytes]);

/** A length of time in milliseconds, written as Go writes durations. */
export const duration = parsed<Millis>(parseDuration);

export const count = (min: number, max: number) => z.coerce.number().pipe(z.int().min(min).max(max));

/** Parts separated by commas. */
export const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);

/** Labels as `key=value` pairs separated by commas. */
export const labels = list.transform((pairs, context) => {
  const entries = pairs.map((pair) => pair.split('=', 2));
  if (entries.some((e) => e.length !== 2 || e[0] === ''))
    context.addIssue('must be key=value pairs separated by commas');
  return Object.fromEntries(entries.map(([key, value]) => [key, value ?? ''])) as Record<string, string>;
});

export const otlpEndpoint = z
  .url()
  .optional()
  .describe('OTLP/HTTP endpoint of a trace collector. Without it no traces are made.');

export const logLevel = z
  .enum(['debug', 'info', 'warn', 'error'])
  .default('info')
  .describe('Lowest level that is logged, as JSON lines on stderr.');
