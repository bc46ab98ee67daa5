/**
 * `make fuzz`: the tests that use fast-check, with every property at many times its usual number of runs. Files and folders
 * may be named. Options: --times N (200), --seconds N (of one property, at most), --workers N (files at a time),
 * --test NAME. A failure prints a seed and a path: --seed N --path P repeats it. Exit code 1 if anything failed.
 * At the end: how many runs there were, of each file and in all.
 */
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Reporter, startVitest, type TestModule } from 'vitest/node';
import type { Fuzz } from './many-runs.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    times: { type: 'string', default: '200' },
    seconds: { type: 'string' },
    workers: { type: 'string' },
    test: { type: 'string', short: 't' },
    seed: { type: 'string' },
    path: { type: 'string' },
  },
});

const root = join(import.meta.dirname, '../..');
const fuzz: Fuzz = {
  times: Number(values.times),
  ...(values.seconds !== undefined && { timeLimitMs: Number(values.seconds) * 1000 }),
  ...(values.seed !== undefined && { seed: Number(values.seed) }),
  ...(values.path !== undefined && { path: values.path }),
};
/** Usual time limit of a test in the slowest suite that has properties. A timer of Node takes 31 bits. */
const timeoutMs = Math.min(120_000 * fuzz.times, 2 ** 31 - 1);

const isWanted = (file: string): boolean =>
  positionals.length === 0 || positionals.some((named) => file.startsWith(named));
const filesWithProperties = async (): Promise<string[]> => {
  const files: string[] = [];
  for await (const file of glob('{src,scripts,test}/**/*.test.ts', { cwd: root }))
    if (isWanted(file) && (await readFile(join(root, file), 'utf8')).includes("from 'fast-check'"))
      files.push(file);
  return files.toSorted();
};

const number = (value: number): string => value.toLocaleString('en');
const sum = { runs: 0, wanted: 0, properties: 0, files: 0 };
const reporter: Reporter = {
  onTestModuleEnd: (file: TestModule) => {
    const runs = [...file.children.allTests()].flatMap((test) => test.meta().runs ?? []);
    if (runs.length === 0) return;
    const made = runs.reduce((all, one) => all + one.made, 0);
    const wanted = runs.reduce((all, one) => all + one.wanted, 0);
    sum.files += 1;
    sum.properties += runs.length;
    sum.runs += made;
    sum.wanted += wanted;
    const cut = made < wanted ? ` of ${number(wanted)}` : '';
    const seconds = Math.round(file.diagnostic().duration / 1000);
    console.log(
      `${file.relativeModuleId}: ${number(made)}${cut} runs of ${runs.length} tests in ${seconds} s`,
    );
  },
  onTestRunEnd: () => {
    const cut = sum.runs < sum.wanted ? ` of ${number(sum.wanted)}` : '';
    console.log(`${number(sum.runs)}${cut} runs of ${sum.properties} tests in ${sum.files} files`);
  },
};

const files = await filesWithProperties();
if (files.length === 0) throw new Error(`no test with a property in ${positionals.join(' ')}`);
const vitest = await startVitest('test', [], {
  root,
  config: false,
  watch: false,
  include: files,
  setupFiles: [join(import.meta.dirname, 'many-runs.ts')],
  provide: { fuzz },
  pool: 'forks',
  testTimeout: timeoutMs,
  hookTimeout: timeoutMs,
  env: { ORT_DISABLE_TELEMETRY: '1' },
  reporters: ['minimal', reporter],
  ...(values.workers !== undefined && { maxWorkers: Number(values.workers) }),
  ...(values.test !== undefined && { testNamePattern: values.test }),
});
await vitest.close();
