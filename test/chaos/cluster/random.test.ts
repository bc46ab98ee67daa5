import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestFleet } from '../../support/fleet.ts';
import { rolloutYaml } from '../../support/moon.ts';
import { tiny } from '../../support/node.ts';
import { chaosSeed, type Seeded, seeded } from '../../support/random.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { makeVersions, type Version } from '../../support/versions.ts';
import { waitFor } from '../../support/wait.ts';
import { type Testimony, witness } from '../../support/witness.ts';
import { soakSeconds } from '../long-form.ts';

const seed = chaosSeed();
const chaosMs = soakSeconds(30) * 1000;
/** Besides: until everything is back and every runtime has the last version. */
const limitMs = chaosMs + 150_000;
const models = ['left', 'right'] as const;
type Model = (typeof models)[number];
const steps = '{setWeight: 30}, {pause: {duration: 1s}}, {setWeight: 70}, {pause: {duration: 500ms}}';
const perModel = 24;

let fleet: TestFleet;
const root = folderOfTests();
const versions = new Map<Model, Version[]>();
/** Of each runtime: which process it is; undefined while there is none. */
const lives: (number | undefined)[] = [0, 0, 0];
/** What was done, for the report of a failure. */
const story: string[] = [];
const beganAt = performance.now();
const tell = (what: string) => story.push(`${Math.round(performance.now() - beganAt)} ${what}`);

beforeAll(async () => {
  fleet = await TestFleet.start({ nodeSettings: { 'import-roots': `${tiny.root},${root}` } });
  for (const model of models) {
    const names = Array.from({ length: perModel }, (_, i) => `${model}-${i}`);
    const made = await makeVersions(root, names);
    versions.set(model, made);
    await fleet.apply(made.map(({ yaml }) => yaml).join(''));
    await point(model, 0);
  }
  for (const model of models) await served(model, 0);
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
});

const versionOf = (model: Model, index: number): Version => {
  const version = versions.get(model)?.[index];
  if (version === undefined) throw new RangeError(`there is no version ${index} of ${model}`);
  return version;
};
const point = (model: Model, index: number, how = steps) =>
  waitFor(
    `the API server to take ${model}-${index}`,
    async () =>
      await fleet.apply(
        rolloutYaml(model, versionOf(model, index).name, how, '  revisionHistoryLimit: 20\n'),
      ),
    60_000,
  );
const served = (model: Model, index: number) =>
  waitFor(
    `${model}-${index} on every runtime`,
    async () => {
      const { digest } = versionOf(model, index);
      const answers = await Promise.all(
        fleet.nodes.map((node) => node.client.ask({ model, prompt: 'moon:', user: 'u' })),
      );
      return answers.every((answer) => answer.served.digest === digest && answer.served.arm === 'stable');
    },
    90_000,
  );

type Fault = { readonly on: string; readonly run: (random: Seeded) => Promise<void> };

const runtimeFaults = (index: number): Fault[] => [
  {
    on: `runtime-${index}`,
    run: async (random) => {
      lives[index] = undefined;
      await fleet.nodes[index]?.end('SIGKILL');
      await pause(random.between(0, 1000));
      await fleet.restartNode(index);
      lives[index] = lifeAfter();
    },
  },
  {
    on: `runtime-${index}`,
    run: async (random) => {
      const pid = fleet.nodes[index]?.pid ?? 0;
      process.kill(pid, 'SIGSTOP');
      await pause(random.between(200, 2500));
      process.kill(pid, 'SIGCONT');
    },
  },
  { on: `door-${index}`, run: (random) => shut(index, 'cut', random.between(0, 3000)) },
  { on: `door-${index}`, run: (random) => shut(index, 'silent', random.between(500, 6000)) },
];
const shut = async (index: number, mode: 'cut' | 'silent', ms: number) => {
  fleet.door.set(`node-${index}`, mode);
  await pause(ms);
  // Half of the dead links come back to life with what was on its way, the others are reset.
  if (mode === 'silent' && ms > 3000) fleet.door.set(`node-${index}`, 'cut');
  fleet.door.set(`node-${index}`, 'open');
};
let born = 0;
const lifeAfter = () => ++born;

const operatorFaults = (index: number): Fault[] => [
  {
    on: `operator-${index}`,
    run: async (random) => {
      await fleet.operators[index]?.end('SIGKILL');
      await pause(random.between(0, 2000));
      await fleet.restartOperator(index);
    },
  },
  {
    on: `operator-${index}`,
    run: async (random) => {
      fleet.operators[index]?.signal('SIGSTOP');
      await pause(random.between(500, 6000));
      fleet.operators[index]?.signal('SIGCONT');
    },
  },
];
const serverFaults: Fault[] = [
  {
    on: 'api server',
    run: async (random) => {
      await fleet.cluster.stopApiServer('SIGKILL');
      await pause(random.between(0, 2000));
      await fleet.cluster.startApiServer();
    },
  },
  {
    on: 'api server',
    run: async (random) => {
      fleet.cluster.pauseApiServer();
      await pause(random.between(500, 4000));
      fleet.cluster.resumeApiServer();
    },
  },
  {
    on: 'api server',
    run: async () => {
      await fleet.cluster.compactEtcd();
      await fleet.cluster.restartApiServer();
    },
  },
];

/** Up to three faults at a time, never two on one thing, until the time is over. */
const breakThings = async (random: Seeded, until: number) => {
  const faults = [...[0, 1, 2].flatMap(runtimeFaults), ...[0, 1].flatMap(operatorFaults), ...serverFaults];
  const busy = new Map<string, Promise<void>>();
  while (performance.now() < until) {
    await pause(random.between(200, 2500));
    if (busy.size >= 3) await Promise.race(busy.values());
    const fault = random.pick(faults.filter(({ on }) => !busy.has(on)));
    tell(`${fault.on}: ${faults.indexOf(fault)}`);
    const done = fault.run(random).finally(() => {
      busy.delete(fault.on);
      tell(`${fault.on} is back`);
    });
    busy.set(fault.on, done);
  }
  await Promise.all(busy.values());
};

/** Goes from version to version, ends some rollouts by hand. Resolves with the last version. */
const roll = async (model: Model, random: Seeded, until: number): Promise<number> => {
  let index = 0;
  while (performance.now() < until && index < perModel - 2) {
    index++;
    tell(`${model} -> ${index}`);
    await point(model, index);
    await pause(random.between(500, 4000));
    const verb = random.pick(['abort', 'promote', 'promote', 'promote', 'nothing'] as const);
    if (verb !== 'nothing') {
      const { code } = await fleet.plugin(verb, model);
      tell(`${model} ${verb}: ${code}`);
    }
    // Half of them have the time to end; the others are superseded on the way.
    const end = performance.now() + (random.next() < 0.6 ? 8000 : random.between(0, 1500));
    while (performance.now() < Math.min(end, until)) {
      if ((await fleet.rollout(model))?.stable?.adapter === versionOf(model, index).name) break;
      await pause(100);
    }
  }
  return index;
};

const isAnswer = (t: Testimony): t is Extract<Testimony, { arm: string }> => 'arm' in t;

/** What one runtime process answered to one lane must follow the order of versions: `rank` never falls. */
const fallsOf = (
  answers: readonly Extract<Testimony, { arm: string }>[],
  rank: (digest: string) => number,
) => {
  const highest = new Map<string, { rank: number; digest: string }>();
  const falls: string[] = [];
  for (const { runtime, life, lane, digest, startedAt } of answers) {
    const key = `runtime ${runtime} life ${life} lane ${lane}`;
    const now = rank(digest);
    const before = highest.get(key);
    if (before !== undefined && now < before.rank)
      falls.push(`${Math.round(startedAt - beganAt)} ${key}: ${now} after ${before.rank}`);
    else highest.set(key, { rank: now, digest });
  }
  return falls;
};

const planOf = async (index: number) => {
  const file = join(fleet.nodes[index]?.data ?? '', 'state/plan.json');
  const { body } = JSON.parse(await readFile(file, 'utf8')) as { body: string };
  const { resources } = JSON.parse(body) as { resources: { key: string; version: string }[] };
  return resources.map(({ key, version }) => `${key} ${version}`);
};

describe(`random faults under traffic (ADAPTLET_CHAOS_SEED=${seed})`, () => {
  it(
    'fail no request, serve only what is planned, lead nothing back, and end with one plan',
    async () => {
      const asking = witness(
        (runtime) => {
          const [node, which] = [fleet.nodes[runtime], lives[runtime]];
          return node === undefined || which === undefined ? undefined : { node, life: which };
        },
        { runtimes: 3, models, prompt: 'moon:', pauseMs: 15 },
      );
      const until = performance.now() + chaosMs;
      const random = seeded(seed);
      const [left, right] = [seeded(seed + 1), seeded(seed + 2)];
      const [, ...last] = await Promise.all([
        breakThings(random, until),
        roll('left', left, until),
        roll('right', right, until),
      ]);
      for (const [i, model] of models.entries()) {
        await point(model, (last[i] ?? 0) + 1, '{setWeight: 100}');
        tell(`${model} => ${(last[i] ?? 0) + 1}`);
      }
      try {
        for (const [i, model] of models.entries()) await served(model, (last[i] ?? 0) + 1);
        await waitFor(
          'one plan on the disk of every runtime',
          async () => {
            const [first, ...others] = await Promise.all([0, 1, 2].map(planOf));
            return others.every((other) => JSON.stringify(other) === JSON.stringify(first));
          },
          60_000,
        );
      } catch (error) {
        throw new Error(story.join('\n'), { cause: error });
      } finally {
        await asking.stop();
      }
      const failures = asking.seen.filter((t) => !isAnswer(t));
      expect({ failures, ...(failures.length === 0 ? {} : { story }) }).toEqual({ failures: [] });
      const answers = asking.seen.filter(isAnswer).toSorted((a, b) => a.startedAt - b.startedAt);
      expect(answers.length).toBeGreaterThan(500);
      for (const model of models) {
        const status = await waitFor('the status', () => fleet.rollout(model));
        const stables: string[] = [...status.history.toReversed(), status.stable].map(
          (bound) => bound?.digest ?? '',
        );
        const planned: string[] = (versions.get(model) ?? []).map(({ digest }) => digest);
        const of = (arm: string) => answers.filter((each) => each.model === model && each.arm === arm);
        const strange = (arm: string, among: readonly string[]) =>
          of(arm).filter(({ digest }) => !among.includes(digest));
        expect(strange('stable', stables)).toEqual([]);
        expect(strange('canary', planned)).toEqual([]);
        expect(
          answers.filter((each) => each.model === model && !['stable', 'canary'].includes(each.arm)),
        ).toEqual([]);
        expect({ falls: fallsOf(of('stable'), (d) => stables.indexOf(d)) }).toEqual({ falls: [] });
        expect({ falls: fallsOf(of('canary'), (d) => planned.indexOf(d)) }).toEqual({ falls: [] });
      }
    },
    limitMs,
  );
});
