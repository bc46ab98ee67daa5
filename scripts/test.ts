/**
 * The README's test command: checks first, then every suite from the least to the most real.
 * A suite that ran nothing fails, and so does, when CI is set, a test that was skipped.
 * What failed is listed at the end. Nothing runs a second time: a test that passes then is a defect as well.
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
const allSuites = ['unit', 'conformance', 'portable', 'integration', 'chaos', 'e2e'] as const;
/** Those that start foreign programs. */
const processSuites: readonly string[] = ['integration', 'chaos', 'e2e'];
let isPrepared = false;
/** Where the time went, in order. */
const spent: string[] = [];
const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  const started = performance.now();
  const result = await work();
  spent.push(`${what} ${Math.round((performance.now() - started) / 1000)} s`);
  return result;
};

/**
 * Where no binaries are found, a build takes up to 10 minutes: too long for a test to wait, and files that run beside each
 * other would build the same.
 */
const prepare = async (suite: string): Promise<void> => {
  if (isPrepared || !processSuites.includes(suite)) return;
  isPrepared = true;
  const programs = async (what: string, file: string): Promise<void> => {
    if ((await timed(what, () => run(`node ${file}`))) !== 0) console.error(`${what}: could not be brought`);
  };
  // Two at a time: each of them downloads for a part of its time.
  await Promise.all([
    // Downloads Node, of which files that run beside each other would each take a copy.
    programs('the image', 'image/main.ts'),
    programs('the programs of a test cluster', 'test/cluster/build.ts')
      .then(() => programs('tools of tests', 'test/tools/build.ts'))
      .then(() => programs('what the nodes of a lab are made of', 'test/cluster/lab/build.ts')),
  ]);
};

const failure = (test: string, message: string): Failure => ({ file: 'scripts/test.ts', test, message });

const total: Outcome = { passed: 0, skipped: [], failures: [], slow: [] };
const names = process.argv.slice(2).filter((a) => !a.startsWith('--'));

if (names.length === 0) {
  await timed('checks', async () => {
    for (const [what, command] of checks) {
      console.log(`==> check: ${what}`);
      if ((await run(command)) === 0) total.passed++;
      else total.failures.push(failure(what, command));
    }
  });
}
if (!process.argv.includes('--checks-only')) {
  for (const suite of names.length > 0 ? names : allSuites) {
    console.log(`==> tests: ${suite}`);
    await prepare(suite);
    const outcome = await timed(suite, () =>
      runSuite(suite).catch((error: unknown) => ({
        passed: 0,
        skipped: [],
        failures: [failure(suite, `no report: ${String(error)}`)],
        slow: [],
      })),
    );
    if (outcome.passed + outcome.failures.length === 0)
      outcome.failures.push(failure(suite, 'it ran no test'));
    console.log(
      `${spent.at(-1)}: ${outcome.passed} passed, ${outcome.failures.length} failed, ${outcome.skipped.length} skipped`,
    );
    for (const line of outcome.slow) console.log(`  ${line}`);
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
if (total.failures.length > 0) console.log(`\nFAILED:\n${describeFailures(total.failures)}`);
const skippedNote = total.skipped.length > 0 ? `, ${total.skipped.length} skipped` : '';
console.log(`\nTIME: ${spent.join(', ')}`);
console.log(`${total.passed} passed, ${total.failures.length} failed${skippedNote}`);
process.exit(total.failures.length === 0 ? 0 : 1);
