/**
 * The README's test command: checks first, then every suite from the least to the most real.
 * A suite that ran nothing fails, and so does, when CI is set, a test that was skipped.
 * What failed is listed at the end. In suites of real processes, where a busy machine can break a
 * deadline, files that failed run once more by themselves; what passes then is listed as unstable.
 * Options: --checks-only; or names of suites to run only those.
 */
import { describeFailures, type Failure, type Outcome, run, runSuite } from './suite.ts';

const checks: readonly [what: string, command: string][] = [
  ['generated files are current', 'npm run -s gen:check'],
  ['formatting', 'npm run -s format:check'],
  ['lint and protobuf compatibility', 'npm run -s lint'],
  ['types', 'npm run -s types'],
  ['unused code and dependencies', 'npm run -s knip'],
];
const allSuites = ['unit', 'conformance', 'integration', 'chaos', 'e2e'] as const;
/** Those with real processes, which wait for each other by the clock. */
const processSuites: readonly string[] = ['integration', 'chaos', 'e2e'];
/** More failed files than these are no accident of the machine. */
const mostRepeatedFiles = 3;

/** What test files start takes 10 minutes to build where no binaries are found: too long for a test to wait. */
const prepare = (suite: string): Promise<number> =>
  processSuites.includes(suite) ? run('node test/cluster/build.ts') : Promise.resolve(0);

const failure = (test: string, message: string): Failure => ({ file: 'scripts/test.ts', test, message });

const total: Outcome = { passed: 0, skipped: [], failures: [] };
const unstable: Failure[] = [];
const names = process.argv.slice(2).filter((a) => !a.startsWith('--'));

const runToTheEnd = async (suite: string): Promise<Outcome> => {
  const first = await runSuite(suite);
  const files = [...new Set(first.failures.map((f) => f.file))];
  if (!processSuites.includes(suite) || files.length === 0 || files.length > mostRepeatedFiles) return first;
  console.log(`\n==> once more, by themselves: ${files.join(' ')}`);
  const second = await runSuite(suite, files);
  const isStill = (f: Failure): boolean =>
    second.failures.some((s) => s.file === f.file && s.test === f.test) || second.passed === 0;
  unstable.push(...first.failures.filter((f) => !isStill(f)));
  return {
    passed: first.passed + first.failures.filter((f) => !isStill(f)).length,
    skipped: first.skipped,
    failures: second.failures,
  };
};

if (names.length === 0) {
  for (const [what, command] of checks) {
    console.log(`==> check: ${what}`);
    if ((await run(command)) === 0) total.passed++;
    else total.failures.push(failure(what, command));
  }
}
if (!process.argv.includes('--checks-only')) {
  for (const suite of names.length > 0 ? names : allSuites) {
    const started = performance.now();
    console.log(`==> tests: ${suite}`);
    if ((await prepare(suite)) !== 0) console.error('the programs of a test cluster are not there');
    const outcome = await runToTheEnd(suite).catch((error: unknown) => ({
      passed: 0,
      skipped: [],
      failures: [failure(suite, `no report: ${String(error)}`)],
    }));
    if (outcome.passed + outcome.failures.length === 0)
      outcome.failures.push(failure(suite, 'it ran no test'));
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(
      `${suite}: ${outcome.passed} passed, ${outcome.failures.length} failed, ${outcome.skipped.length} skipped in ${seconds} s`,
    );
    total.passed += outcome.passed;
    total.failures.push(...outcome.failures);
    total.skipped.push(...outcome.skipped);
  }
}

if (total.skipped.length > 0) {
  console.log(
    `\nSKIPPED, so not proven by this run:\n${total.skipped.map((name) => `  ${name}`).join('\n')}`,
  );
  if (process.env['CI'] === 'true')
    total.failures.push(failure('skipped tests', `nothing may be skipped here: ${total.skipped.length}`));
}
if (unstable.length > 0)
  console.log(`\nUNSTABLE, failed and then passed by themselves:\n${describeFailures(unstable)}`);
if (total.failures.length > 0) console.log(`\nFAILED:\n${describeFailures(total.failures)}`);
const skippedNote = total.skipped.length > 0 ? `, ${total.skipped.length} skipped` : '';
const unstableNote = unstable.length > 0 ? `, ${unstable.length} unstable` : '';
console.log(`\n${total.passed} passed, ${total.failures.length} failed${skippedNote}${unstableNote}`);
process.exit(total.failures.length === 0 ? 0 : 1);
