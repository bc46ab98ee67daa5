import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg } from 'node:os';

export type Variant = { readonly median: number; readonly p99: number; readonly n: number };

export type Report = {
  readonly bench: string;
  readonly unit: string;
  readonly results: Readonly<Record<string, Variant>>;
  readonly ratios: Readonly<Record<string, number>>;
  /** Model, threads, context and what else the numbers depend on. */
  readonly setup: Readonly<Record<string, string | number>>;
  readonly machine: {
    readonly cores: number;
    readonly cpu: string;
    readonly node: string;
    readonly loadavg: number;
  };
  /** The day, as 2026-11-30; absent in reports that were saved before it was written. */
  readonly date?: string;
  /** Of the tree when the bench ended, with `-dirty` where files differ from it; absent also outside a repository. */
  readonly commit?: string;
};

const round = (value: number): number => Number(value.toPrecision(4));

export const quantile = (values: readonly number[], q: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  if (value === undefined) throw new Error('no values');
  return value;
};

export const variant = (values: readonly number[]): Variant => ({
  median: round(quantile(values, 0.5)),
  p99: round(quantile(values, 0.99)),
  n: values.length,
});

const commitHere = (): string | undefined => {
  const describe = ['describe', '--always', '--exclude=*', '--dirty', '--abbrev=8'];
  try {
    return execFileSync('git', describe, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
};

export const report = (
  bench: string,
  unit: string,
  parts: { results: Report['results']; ratios: Record<string, number>; setup: Report['setup'] },
): Report => {
  const commit = commitHere();
  return {
    bench,
    unit,
    results: parts.results,
    ratios: Object.fromEntries(Object.entries(parts.ratios).map(([k, v]) => [k, round(v)])),
    setup: parts.setup,
    machine: {
      cores: availableParallelism(),
      cpu: cpus()[0]?.model ?? 'unknown',
      node: process.version,
      loadavg: round(loadavg()[0] ?? 0),
    },
    date: new Date().toISOString().slice(0, 10),
    ...(commit !== undefined && { commit }),
  };
};

/** When a report was made, and of which commit; '' where that is not known. */
export const madeText = ({ date, commit }: Report): string =>
  [date, commit && `commit ${commit}`].filter((part) => part !== undefined).join(', ');
