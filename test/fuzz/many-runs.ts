/** Set-up file of `make fuzz`: every property runs more often than its test says, and is counted. No test knows of it. */
import type * as FastCheck from 'fast-check';
import { inject, TestRunner, vi } from 'vitest';

/** What the options of `make fuzz` come to; fixed for all properties of a run. */
export type Fuzz = {
  /** How many times its usual number of runs. */
  readonly times: number;
  /** Milliseconds after which a property that found nothing ends before its last run. */
  readonly timeLimitMs?: number;
  /** Of a failure that is to be repeated. */
  readonly seed?: number;
  readonly path?: string;
};
declare module 'vitest' {
  interface TaskMeta {
    /** Runs of the properties of this test: those that were wanted, and those that were made. */
    runs?: { readonly wanted: number; readonly made: number };
  }
  interface ProvidedContext {
    fuzz: Fuzz;
  }
}

vi.mock(import('fast-check'), async (original) => {
  const fc = await original();
  const { times, timeLimitMs, ...repeated } = inject('fuzz');
  /** Ends between two runs: fast-check's own limit leaves a run behind that is still under way, on files that go. */
  const until = <T>(property: FastCheck.IRawProperty<T>): FastCheck.IRawProperty<T> => {
    if (timeLimitMs === undefined) return property;
    const end = performance.now() + timeLimitMs;
    const run: typeof property.run = (value) =>
      performance.now() < end ? property.run(value) : new fc.PreconditionFailure(true);
    return Object.assign(Object.create(property), { run });
  };
  const assert = (
    property: FastCheck.IRawProperty<unknown>,
    parameters: FastCheck.Parameters<unknown> = {},
  ) => {
    const wanted = times * (parameters.numRuns ?? 100);
    const test = TestRunner.getCurrentTest();
    return fc.assert(until(property), {
      ...parameters,
      ...repeated,
      numRuns: wanted,
      // What was found after long is worth the minutes in which it is made small.
      endOnFailure: false,
      reporter: (details) => {
        const { wanted: others = 0, made = 0 } = test?.meta.runs ?? {};
        if (test !== undefined) test.meta.runs = { wanted: others + wanted, made: made + details.numRuns };
        if (!details.failed) return;
        throw new Error(fc.defaultReportMessage(details), { cause: details.errorInstance });
      },
    });
  };
  return { ...fc, assert: assert as typeof fc.assert };
});
