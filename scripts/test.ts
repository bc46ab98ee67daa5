/**
 * The README's test command: checks first, then every suite from the least to the most real.
 * A suite that ran nothing fails, and so does, when CI is set, a test that was skipped.
 * Options: --checks-only; or names of suites to run only those.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = join(root, 'node_modules/.bin');
const environment = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };

const checks: readonly [what: string, command: string][] = [
  ['generated files are current', 'npm run -s gen:check'],
  ['formatting', 'npm run -s format:check'],
  ['lint and protobuf compatibility', 'npm run -s lint'],
  ['types', 'npm run -s types'],
  ['unused code and dependencies', 'npm run -s knip'],
];
const allSuites = ['unit', 'conformance', 'integration', 'chaos', 'e2e'] as const;

const run = (command: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', command], { cwd: root, env: environment, stdio: 'inherit' });
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });

type VitestReport = {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  testResults: {
    name: string;
    status: string;
    message: string;
    assertionResults: { status: string; fullName: string }[];
  }[];
};

type Counts = { passed: number; failed: number; skipped: string[] };

const runSuite = async (suite: string): Promise<Counts> => {
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-test-'));
  const report = join(folder, 'report.json');
  try {
    const workers = `--maxWorkers=${Math.min(availableParallelism(), 4)}`;
    await run(
      `vitest run --project ${suite} ${workers} --reporter=dot --reporter=json --outputFile.json=${report}`,
    );
    const json = JSON.parse(await readFile(report, 'utf8')) as VitestReport;
    const tests = json.testResults.flatMap((file) => file.assertionResults);
    const skipped = tests
      .filter((t) => t.status !== 'passed' && t.status !== 'failed')
      .map((t) => t.fullName);
    // A file that breaks before its first test has no failed test in it: it counts as one.
    const broken = json.testResults.filter(
      (f) => f.status === 'failed' && !f.assertionResults.some((t) => t.status === 'failed'),
    );
    return { passed: json.numPassedTests, failed: json.numFailedTests + broken.length, skipped };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** What test files start takes 10 minutes to build where no binaries are found: too long for a test to wait. */
const prepare = (suite: string): Promise<number> =>
  ['integration', 'chaos', 'e2e'].includes(suite) ? run('node test/cluster/build.ts') : Promise.resolve(0);

const total: Counts = { passed: 0, failed: 0, skipped: [] };
const names = process.argv.slice(2).filter((a) => !a.startsWith('--'));

if (names.length === 0) {
  for (const [what, command] of checks) {
    console.log(`==> check: ${what}`);
    const ok = (await run(command)) === 0;
    total[ok ? 'passed' : 'failed']++;
    if (!ok) console.error(`FAILED: ${what} (${command})`);
  }
}
if (!process.argv.includes('--checks-only')) {
  for (const suite of names.length > 0 ? names : allSuites) {
    const started = performance.now();
    console.log(`==> tests: ${suite}`);
    if ((await prepare(suite)) !== 0) console.error('the programs of a test cluster are not there');
    const counts = await runSuite(suite).catch((error: unknown) => {
      console.error(`FAILED: ${suite} gave no report: ${String(error)}`);
      return { passed: 0, failed: 1, skipped: [] };
    });
    if (counts.passed + counts.failed === 0) {
      console.error(`FAILED: the suite ${suite} ran no test`);
      counts.failed++;
    }
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(
      `${suite}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped.length} skipped in ${seconds} s`,
    );
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped.push(...counts.skipped);
  }
}

if (total.skipped.length > 0) {
  console.log(
    `\nSKIPPED, so not proven by this run:\n${total.skipped.map((name) => `  ${name}`).join('\n')}`,
  );
  if (process.env['CI'] === 'true') {
    console.error('FAILED: nothing may be skipped here');
    total.failed += total.skipped.length;
  }
}
const skippedNote = total.skipped.length > 0 ? `, ${total.skipped.length} skipped` : '';
console.log(`\n${total.passed} passed, ${total.failed} failed${skippedNote}`);
process.exit(total.failed === 0 ? 0 : 1);
