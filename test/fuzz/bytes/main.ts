/**
 * `make fuzz`: readers of bytes from outside, each with real examples that are changed at random. Options: --target NAME (again
 * for more; all), --seconds N (of each target, 10), --seed N, --workers N (targets at a time, 1), --list,
 * --report FILE (JSON that docs/reference/hostile-input.md is made of), --found FOLDER (where inputs are kept that break
 * something), --input FILE (runs one target once with these bytes). Exit code 1 if anything was found.
 */
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { keep } from './corpus.ts';
import { execute } from './judge.ts';
import type { Report } from './report.ts';
import { type Outcome, runTarget } from './run.ts';
import type { Target } from './target.ts';
import { targetNamed, targets } from './targets.ts';

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true },
    seconds: { type: 'string', default: '10' },
    seed: { type: 'string' },
    workers: { type: 'string', default: '1' },
    list: { type: 'boolean', default: false },
    report: { type: 'string' },
    found: { type: 'string', default: join(tmpdir(), 'adaptlet-fuzz') },
    input: { type: 'string' },
  },
});

const chosen: readonly Target[] = values.target === undefined ? targets : values.target.map(targetNamed);
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
const seconds = Number(values.seconds);
const number = (value: number): string => Math.round(value).toLocaleString('en-US');

const line = (name: string, { tally }: Outcome): string =>
  [
    `${name}: ${number(tally.executions)} executions`,
    `${number((100 * tally.accepted) / Math.max(1, tally.executions))} % accepted`,
    `${number(tally.outcomes)} kinds of answers`,
    `slowest ${number(tally.slowestMs)} ms`,
    `most ${number(tally.mostBytes / 1024)} KiB`,
  ].join(', ');

const once = async (file: string): Promise<void> => {
  const bytes = await readFile(file);
  for (const target of chosen) {
    const begun = performance.now();
    const verdict = await execute(target, bytes);
    console.log(target.name, verdict, `${number(performance.now() - begun)} ms`);
    if (verdict.kind === 'found') process.exitCode = 1;
  }
};

const all = async (): Promise<void> => {
  console.log(`seed ${seed}, ${seconds} s each`);
  const outcomes = new Map<string, Outcome>();
  const waiting = [...chosen];
  const lane = async (): Promise<void> => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
      const outcome = await runTarget(target, { seed, ms: seconds * 1000 });
      outcomes.set(target.name, outcome);
      console.log(line(target.name, outcome));
      for (const { what, input } of outcome.findings) {
        const path = keep(resolve(values.found), target.name, input);
        console.log(
          `  FOUND ${what}\n    node test/fuzz/bytes/main.ts --target ${target.name} --input ${path}`,
        );
        process.exitCode = 1;
      }
    }
  };
  await Promise.all(Array.from({ length: Number(values.workers) }, lane));
  const sum = [...outcomes.values()].reduce((total, { tally }) => total + tally.executions, 0);
  console.log(`${number(sum)} executions of ${outcomes.size} targets, seed ${seed}`);
  if (values.report === undefined) return;
  const report: Report = {
    seed,
    seconds,
    commit: execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8' }).trim(),
    machine: { cpu: cpus()[0]?.model ?? '', cores: cpus().length, node: process.version },
    targets: chosen.map(({ name, reads }) => {
      const outcome = outcomes.get(name);
      if (outcome === undefined) throw new Error(`${name} did not run`);
      return { name, reads, ...outcome.tally, found: outcome.findings.map(({ what }) => what) };
    }),
  };
  await writeFile(values.report, `${JSON.stringify(report, null, 2)}\n`);
};

if (values.list) for (const { name, reads } of targets) console.log(`${name}: ${reads}`);
else if (values.input !== undefined) await once(values.input);
else await all();
