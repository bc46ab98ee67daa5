import type { Tally } from './run.ts';

/** What a run counted, for docs/reference/hostile-input.md. */
export type Report = {
  readonly seed: number;
  /** Of each target. */
  readonly seconds: number;
  readonly commit: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string };
  readonly targets: readonly (Readonly<Tally> & {
    readonly name: string;
    readonly reads: string;
    /** Each thing that broke, in words. */
    readonly found: readonly string[];
  })[];
};
