import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { groupsSchema } from '../../../src/api/groups.ts';
import type { Plan } from '../../../src/plan/resources.ts';
import { toolPath } from '../../cluster/index.ts';
import { startBareRuntime } from '../../support/bare-fleet.ts';
import type { BareRuntime } from '../../support/bare-runtime.ts';
import { codeBlocks } from '../../support/code-blocks.ts';
import { systemNamespace, TestFleet } from '../../support/fleet.ts';
import { programFolder, repositoryRoot } from '../../support/process.ts';
import { runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';

const page = readFileSync(join(repositoryRoot, 'docs/how-to/roll-out-in-waves.md'), 'utf8');
/** Runs commands of the page as its reader would. */
const run = async (script: string): Promise<string> => {
  const { kubeconfig } = fleet.cluster;
  const path = [dirname(await toolPath('kubectl')), programFolder(), process.env['PATH']];
  const env = { KUBECONFIG: kubeconfig, PATH: path.join(':') };
  const result = await runProgram('bash', ['-ec', script], { cwd: fleet.folder, env });
  expect(result, script).toMatchObject({ code: 0 });
  return result.stdout;
};

const adapters = ['v1', 'v2', 'v3', 'v4', 'v5', 'v6', 'v7'];
const digestOf = (adapter: string) => `sha256:${adapter.slice(1).repeat(64)}`;
const adapterYaml = (name: string) =>
  `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: {path: {path: ${name}}}\n  digest: ${digestOf(name)}\n---\n`;

/** One runtime, two more, then all others. */
const wavesOf = (deadline: string) =>
  `[{name: first, limit: {count: 1}, progressDeadline: ${deadline}}, {name: second, limit: {count: 2}, progressDeadline: ${deadline}}]`;
const rolloutYaml = (adapter: string, steps: string, deadline: string) =>
  `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRollout\nmetadata: {name: shout}\nspec:\n  adapter: ${adapter}\n  groups: ${wavesOf(deadline)}\n  strategy: {canary: {steps: [${steps}]}}\n---\n`;
const manual = '{setWeight: 20}, {pause: {}}';

/** Runtimes by name, and what each of them has been given to load and to serve, in order. */
const runtimes = new Map<string, BareRuntime>();
const loaded = new Map<string, Set<string>>();
/** An adapter that ends the process that loads it. */
let deadly = '';

let fleet: TestFleet;

const split = (plan: Plan) => [...plan.values()].find((one) => one.type === 'Split')?.body;
const weightOf = (name: string): number => {
  const body = split(runtimes.get(name)?.plan ?? new Map());
  return body !== undefined && 'weight' in body ? body.weight : -1;
};
const stableOf = (name: string): string => {
  const body = split(runtimes.get(name)?.plan ?? new Map());
  return (body !== undefined && 'stable' in body && body.stable?.adapter) || '';
};
const at = (weight: number): string[] => [...runtimes.keys()].filter((name) => weightOf(name) === weight);

const start = async (name: string): Promise<void> => {
  const address = await fleet.door.addressOf(name);
  const had = loaded.get(name) ?? new Set<string>();
  loaded.set(name, had);
  const inForce = (plan: Plan): void => {
    for (const one of plan.values())
      if (one.type === 'AdapterSpec' && one.body.tier === 'Memory') {
        const adapter = one.name.slice(one.name.indexOf('/') + 1);
        had.add(adapter);
        if (adapter === deadly) setImmediate(() => fleet.door.set(name, 'cut'));
      }
  };
  runtimes.set(name, await startBareRuntime(fleet, name, inForce, address));
};
const point = (adapter: string, steps = manual, deadline = '10m') =>
  fleet.apply(rolloutYaml(adapter, steps, deadline));
const promote = () => fleet.plugin('promote', 'shout');
const status = (
  what: string,
  holds: (now: NonNullable<Awaited<ReturnType<TestFleet['rollout']>>>) => boolean,
) =>
  waitFor(
    what,
    async () => {
      const now = await fleet.rollout('shout');
      return now !== undefined && holds(now) && now;
    },
    90_000,
  );
const healthy = (adapter: string) =>
  status(`${adapter} is stable`, (now) => now.phase === 'Healthy' && now.stable?.adapter === adapter);
const offline = (count: number) =>
  status(`${count} are offline`, ({ runtimes: seen }) => seen?.offline === count);
const spread = (expected: Readonly<Record<number, number>>) =>
  waitFor(`weights ${JSON.stringify(expected)}`, () => {
    const seen: Record<number, number> = {};
    for (const name of runtimes.keys()) seen[weightOf(name)] = (seen[weightOf(name)] ?? 0) + 1;
    return JSON.stringify(seen) === JSON.stringify(expected);
  });
const thoseThatLoaded = (adapter: string): string[] =>
  [...loaded].flatMap(([name, had]) => (had.has(adapter) ? [name] : []));

beforeAll(async () => {
  fleet = await TestFleet.start({ replicas: 1, runtimes: 0 });
  for (const name of adapters) await fleet.apply(adapterYaml(name));
  await Promise.all(Array.from({ length: 6 }, (_, i) => start(`edge-${i}`)));
  await point('v1');
  await healthy('v1');
  await fleet.cluster.kubectlOk(['config', 'set-context', '--current', `--namespace=${fleet.namespace}`]);
});
afterAll(async () => {
  for (const runtime of runtimes.values()) runtime.close();
  await fleet?.[Symbol.asyncDispose]();
});

describe('docs/how-to/roll-out-in-waves.md', () => {
  it('has groups that may be written so', async () => {
    const [groups = '', ...noMore] = codeBlocks(page, 'yaml');
    expect(noMore).toEqual([]);
    expect(groupsSchema.safeParse((parse(groups) as { groups: unknown }).groups)).toMatchObject({
      success: true,
    });
    const patch = `spec:\n${groups.replaceAll(/^/gm, '  ')}`;
    await run(
      `kubectl patch aro shout --type merge --dry-run=server --patch-file /dev/stdin <<'END'\n${patch}\nEND`,
    );
  });
});

/** A runtime that is cut off is missed after 15 s where nothing else runs; beside builds of images it took more than 45. */
describe('groups over real streams', { timeout: 240_000 }, () => {
  it('go from one runtime to two to the rest, and only they load the canary', async () => {
    await point('v2');
    await spread({ 0: 5, 20: 1 });
    expect(thoseThatLoaded('v2')).toEqual(at(20));
    await promote();
    await spread({ 0: 3, 20: 2, 100: 1 });
    expect(thoseThatLoaded('v2')).toHaveLength(3);
    const [look = '', next = '', ...noMore] = codeBlocks(page, 'sh');
    expect(noMore).toEqual([]);
    const seen = await run(look);
    expect(seen).toMatch(/first\s+Succeeded\s+100 %/);
    expect(seen).toMatch(/second\s+Progressing\s+20 %/);
    await run(next);
    await spread({ 20: 3, 100: 3 });
    await promote();
    await healthy('v2');
  });

  it('take up a runtime that joins in the middle, and move nobody', async () => {
    await point('v3');
    await spread({ 0: 5, 20: 1 });
    await promote();
    await spread({ 0: 3, 20: 2, 100: 1 });
    const before = new Map([...runtimes.keys()].map((name) => [name, weightOf(name)]));
    await start('late');
    const given = await waitFor(
      'the plan of the one that joined',
      () => weightOf('late') >= 0 && { weight: weightOf('late') },
    );
    expect([0, 20, 100]).toContain(given.weight);
    for (const [name, weight] of before) expect(weightOf(name)).toBe(weight);
    await promote();
    await status('the rest', ({ groups }) => groups?.[2]?.phase === 'Progressing');
    await promote();
    await healthy('v3');
  });

  it('do not wait for those that were offline before, which get only the newest when they return', async () => {
    fleet.door.set('edge-0', 'cut');
    await offline(1);
    for (const adapter of ['v4', 'v5']) {
      await point(adapter, '');
      await healthy(adapter);
    }
    fleet.door.set('edge-0', 'open');
    await waitFor('the newest stable', () => stableOf('edge-0') === 'v5');
    expect([...(loaded.get('edge-0') ?? [])]).not.toContain('v4');
  });

  it('stop at one that goes offline with the canary; it has none when it returns after an abort', async () => {
    await point('v6');
    await spread({ 0: 6, 20: 1 });
    const [pilot = ''] = at(20);
    fleet.door.set(pilot, 'cut');
    await status('it is missed', ({ message }) =>
      message.includes(`not ${systemNamespace}/${pilot} (went offline)`),
    );
    await fleet.plugin('abort', 'shout');
    await status('the abort', ({ abort }) => abort !== undefined);
    // The link is down: it goes on with the last plan that it has.
    expect(weightOf(pilot)).toBe(20);
    fleet.door.set(pilot, 'open');
    await waitFor('no canary', () => weightOf(pilot) === 0);
    expect(thoseThatLoaded('v6')).toEqual([pilot]);
  });

  it('stop an adapter that kills nodes in the first group, and give it up', async () => {
    deadly = 'v7';
    await point('v7', '', '5s');
    const { abort } = await status('the canary is given up', (now) => now.abort !== undefined);
    expect(abort?.reason).toMatch(
      /^1 of 1 runtimes of group first failed: .* \(went offline and did not come back\)$/,
    );
    expect(thoseThatLoaded('v7')).toHaveLength(1);
    expect([...runtimes.values()].filter(({ isConnected }) => isConnected)).toHaveLength(runtimes.size - 1);
    for (const name of runtimes.keys()) fleet.door.set(name, 'open');
    await waitFor('all are back', () => [...runtimes.values()].every(({ isConnected }) => isConnected));
    await spread({ 0: runtimes.size });
  });
});
