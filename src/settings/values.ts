import { z } from 'zod';
import { type Millis, parseDuration } from '../api/duration.ts';
import { parseQuantity } from '../api/quantity.ts';
import { isEgressEntry, isNetwork } from '../egress/allow-list.ts';

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

/** What `schema` reads, or the word `auto`. */
export const orAuto = <T>(schema: z.ZodType<T>) =>
  z.string().transform((text, context): T | 'auto' => {
    if (text === 'auto') return text;
    const read = schema.safeParse(text);
    if (read.success) return read.data;
    for (const { message } of read.error.issues) context.addIssue(`${message}, or auto`);
    return z.NEVER;
  });

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

/** Where requests may lead, as src/egress reads it. */
export const egressList = list.refine((entries) => entries.every(isEgressEntry), {
  error: 'must be hosts (host, host:port, *.domain), addresses or networks (10.0.0.0/8), separated by commas',
});

export const networkList = list.refine((entries) => entries.every(isNetwork), {
  error: 'must be addresses or networks (10.0.0.0/8), separated by commas',
});

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

export const coreFiles = z
  .enum(['headers', 'memory'])
  .default('headers')
  .describe(
    'What a core file has when a process crashes. headers: registers and the list of libraries. memory: everything, credentials and prompts too; for who looks for a defect.',
  );

export const logLevel = z
  .enum(['debug', 'info', 'warn', 'error'])
  .default('info')
  .describe('Lowest level that is logged, as JSON lines on stderr.');
