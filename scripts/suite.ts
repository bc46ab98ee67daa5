/** Runs one suite of tests by vitest and says what came of it. */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = join(root, 'node_modules/.bin');
const environment = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };

type Times = { name: string; startTime: number; endTime: number };
type VitestReport = {
  testResults: (Times & {
    status: string;
    message: string;
    assertionResults: { status: string; fullName: string; failureMessages: string[] }[];
  })[];
};

export type Failure = { file: string; test: string; message: string };
/** `slow`: the files that took longest, as a line each, and the one for which the others waited. */
export type Outcome = { passed: number; skipped: string[]; failures: Failure[]; slow: string[] };

/** Runs a command in the project's root with its tools on the path; answers the exit code. */
export const run = (command: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', command], { cwd: root, env: environment, stdio: 'inherit' });
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });

/** A file that breaks before its first test has no failed test in it: it counts as one failure. */
const failuresOf = (file: VitestReport['testResults'][number]): Failure[] => {
  const failed = file.assertionResults.filter((t) => t.status === 'failed');
  const name = relative(root, file.name);
  if (failed.length === 0)
    return file.status === 'failed' ? [{ file: name, test: '(the whole file)', message: file.message }] : [];
  return failed.map((t) => ({ file: name, test: t.fullName, message: t.failureMessages.join('\n') }));
};

const slowest = (files: VitestReport['testResults']): string[] =>
  files
    .map(({ name, startTime, endTime }) => ({ name, seconds: Math.round((endTime - startTime) / 1000) }))
    .filter(({ seconds }) => seconds >= 20)
    .toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, 10)
    .map(({ name, seconds }) => `${seconds} s in ${relative(root, name)}`);

/** What ran by itself at the end, while the other workers had nothing to do. */
export const aloneAtTheEnd = (files: readonly Times[]): string[] => {
  const [last, before] = files.toSorted((a, b) => b.endTime - a.endTime);
  if (last === undefined || before === undefined) return [];
  const seconds = Math.round((last.endTime - Math.max(before.endTime, last.startTime)) / 1000);
  const name = relative(root, last.name);
  return seconds < 20 ? [] : [`${seconds} s at the end with ${name} alone: see scripts/longest-first.ts`];
};

/** Runs all files of a suite. */
export const runSuite = async (suite: string): Promise<Outcome> => {
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-test-'));
  const report = join(folder, 'report.json');
  try {
    await run(`vitest run --project ${suite} --reporter=dot --reporter=json --outputFile.json=${report}`);
    const json = JSON.parse(await readFile(report, 'utf8')) as VitestReport;
    const tests = json.testResults.flatMap((file) => file.assertionResults);
    return {
      passed: tests.filter((t) => t.status === 'passed').length,
      skipped: tests.filter((t) => !['passed', 'failed'].includes(t.status)).map((t) => t.fullName),
      failures: json.testResults.flatMap(failuresOf),
      slow: [...slowest(json.testResults), ...aloneAtTheEnd(json.testResults)],
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const mostLines = 12;

/** The first lines of a message and the last: what a program said before it failed is at the end. */
const shortened = (message: string): string[] => {
  const lines = message.split('\n');
  const left = lines.length - 3 * mostLines;
  if (left <= 0) return lines;
  return [...lines.slice(0, mostLines), `(${left} lines left out)`, ...lines.slice(-2 * mostLines)];
};

/** Each failure with its message, a long one shortened. */
export const describeFailures = (failures: readonly Failure[]): string =>
  failures
    .map(({ file, test, message }) =>
      [`  ${file}: ${test}`, ...shortened(message).map((line) => `      ${line.slice(0, 400)}`)].join('\n'),
    )
    .join('\n');
