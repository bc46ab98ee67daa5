import { z } from 'zod';
import { type Millis, parseDuration } from '../api/duration.ts';
import { parseQuantity } from '../api/quantity.ts';
import { isEgressEntry, isNetwork } from '../egress/allow-list.ts';
import { type Mirrors, parseMirrors } from '../egress/mirrors.ts';
import type { BandwidthPlan, BandwidthWindow } from '../time/bandwidth.ts';

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

/** A time of the day in minutes after midnight; 24:00 is the end of the day. */
const minuteOf = (text: string): number => {
  const [, hours, minutes] =
    /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text) ?? (text === '24:00' ? ['', '24', '00'] : []);
  if (hours === undefined) throw new RangeError(`"${text}" must be a time of the day such as 22:00`);
  return Number(hours) * 60 + Number(minutes);
};

/** Bytes per second by the time of the day: `22:00-06:00=10Mi,256Ki`. */
const parseBandwidth = (text: string): Omit<BandwidthPlan, 'timeZone'> => {
  const windows: BandwidthWindow[] = [];
  let otherwise: number | undefined;
  for (const part of text.split(',').map((one) => one.trim())) {
    if (part === '') continue;
    const [times, rate] = part.includes('=') ? part.split('=', 2) : [undefined, part];
    const bytesPerSecond = parseQuantity(rate ?? '');
    if (times === undefined) {
      if (otherwise !== undefined) throw new RangeError('only one rate may have no times');
      otherwise = bytesPerSecond;
      continue;
    }
    const [from = '', to = '', ...rest] = times.split('-');
    if (rest.length > 0) throw new RangeError(`"${times}" must be two times of the day such as 22:00-06:00`);
    windows.push({ from: minuteOf(from), to: minuteOf(to), bytesPerSecond });
  }
  return { windows, otherwise: otherwise ?? Number.POSITIVE_INFINITY };
};

export const bandwidth = parsed(parseBandwidth);

export const timeZone = z.string().refine(
  (name) => {
    try {
      return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
    } catch {
      return false;
    }
  },
  { error: 'must be a time zone such as Europe/Berlin or UTC' },
);

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

export const registryMirrors = parsed<Mirrors>(parseMirrors);

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
