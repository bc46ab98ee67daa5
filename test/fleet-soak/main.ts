/**
 * `npm run -s soak`: an hour of a fleet in which everything breaks that may break; see README.md. Options: --minutes N,
 * --seed N, --hollows N, --report FILE. A line a minute, and each violation at once, on stderr. Exit code 1 if anything
 * was wrong.
 */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { repositoryRoot } from '../support/process.ts';
import { isClean } from './report.ts';
import { soak } from './soak.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    hollows: { type: 'string', default: '40' },
    report: { type: 'string' },
  },
});

const numberOf = (name: keyof typeof values): number => {
  const number = Number(values[name]);
  if (!Number.isFinite(number) || number <= 0)
    throw new Error(`--${name} ${values[name]}: write a number above 0`);
  return number;
};

const git = (...args: readonly string[]): string =>
  execFileSync('git', args, { cwd: repositoryRoot, encoding: 'utf8' }).trim();
const commit = `${git('rev-parse', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' with changes'}`;

// As the test suites set them: real nodes share the cores, and processes start often.
process.env['ADAPTLET_THREADS'] ??= '1';
process.env['NODE_COMPILE_CACHE'] ??= join(repositoryRoot, 'node_modules/.cache/node');

const [seed, minutes, hollows] = [numberOf('seed'), numberOf('minutes'), numberOf('hollows')];
console.error(`soaking a fleet for ${minutes} min, seed ${seed}, commit ${commit}`);
const report = await soak({ seed, minutes, hollows, commit, say: (text) => console.error(text) });
const text = `${JSON.stringify(report, undefined, 2)}\n`;
if (values.report === undefined) process.stdout.write(text);
else await writeFile(values.report, text);
console.error(isClean(report) ? 'nothing was wrong' : `violations: ${JSON.stringify(report.violated)}`);
// Node that ends by itself was seen to clean up its handles without an end.
process.exit(isClean(report) ? 0 : 1);
