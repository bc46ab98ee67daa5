/**
 * `make soak`: an hour in which nothing may disturb an answer; see CONTRIBUTING.md. Options: --model tiny|smollm,
 * --node (through a whole node), --seconds N, --seed N, --kill-every SECONDS. One line a minute, at the end the report as
 * JSON. Exit code 1 if anything was wrong. --noise ANSWERS measures instead what near ties have to allow.
 */
import { parseArgs } from 'node:util';
import { soakModel } from './models.ts';
import { soakNode } from './node-soak.ts';
import { measureNoise } from './noise.ts';
import type { Report } from './report.ts';
import { soak } from './soak.ts';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'tiny' },
    seconds: { type: 'string', default: process.env['ADAPTLET_SOAK_SECONDS'] ?? '3600' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    'kill-every': { type: 'string', default: '45' },
    node: { type: 'boolean', default: false },
    noise: { type: 'string' },
  },
});

const started = performance.now();
const line = ({ compared, counts, failures }: Report): string => {
  const minutes = Math.round((performance.now() - started) / 60_000);
  const { beginningsCompared, nearTies, prefixesReused, cancelled, loads, unloadsInUse, kills, queueFull } =
    counts;
  return (
    `${minutes} min: ${compared} answers and ${beginningsCompared} beginnings compared, ${nearTies} near ties, ` +
    `${prefixesReused} prefixes reused, ${cancelled} cancelled, ${loads} loads, ${unloadsInUse} unloads in use, ${kills} kills, ${queueFull} refused, ` +
    `${failures.length} failures`
  );
};

const seed = Number(values.seed);
const model = soakModel(values.model);

const runSoak = async (): Promise<boolean> => {
  const seconds = Number(values.seconds);
  console.error(`soaking ${model.name} for ${seconds} s, seed ${seed}`);
  const report = await (values.node ? soakNode : soak)({
    model,
    seconds,
    seed,
    killEveryMs: Number(values['kill-every']) * 1000,
    onMinute: (soFar) => console.error(line(soFar)),
  });
  console.log(JSON.stringify(report, undefined, 2));
  return report.failures.length === 0 && report.compared > 0;
};

if (values.noise !== undefined)
  console.log(JSON.stringify(await measureNoise(model, seed, Number(values.noise))));
else process.exitCode = (await runSoak()) ? 0 : 1;
