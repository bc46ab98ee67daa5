import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { clusterAdapter, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import { waitFor } from '../../support/wait.ts';

let fleet: TestFleet;
let pids: number[];
let turn = 0;
beforeAll(async () => {
  fleet = await TestFleet.start({ runtimes: 2 });
  for (const name of ['upper', 'reverse'] as const)
    await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
  await follow('upper');
  pids = fleet.operators.map(({ pid }) => pid);
});
afterAll(() => fleet[Symbol.asyncDispose]());

const follow = async (adapter: 'upper' | 'reverse') => {
  await fleet.apply(rolloutYaml('shout', adapter, '{setWeight: 100}'));
  await waitFor(`${adapter} on every runtime`, async () => {
    const texts = await Promise.all(fleet.nodes.map(async (node) => (await askMoon(node, 'shout')).text));
    return texts.every((text) => text === moon[adapter]);
  });
};
/** What all of them have in common: other objects are served as before, by the same processes. */
afterEach(async () => {
  await follow(turn++ % 2 === 0 ? 'reverse' : 'upper');
  expect(fleet.operators.map(({ pid, isRunning }) => [pid, isRunning])).toEqual(
    pids.map((pid) => [pid, true]),
  );
});
const message = (name: string, says: RegExp) =>
  waitFor(`${name} to say ${says}`, async () => {
    const text = JSON.stringify((await fleet.rollout(name)) ?? {});
    return says.test(text) && text;
  });

describe('an object that makes no sense disturbs no other', () => {
  it('a rollout that names itself, and one of an Adapter that does not exist', async () => {
    await fleet.apply(
      rolloutYaml('itself', 'itself', '{setWeight: 50}') + rolloutYaml('lost', 'nowhere', '{setWeight: 50}'),
    );
    await message('itself', /itself.*(does not exist|not found|is missing|no Adapter)/i);
    await message('lost', /nowhere.*(does not exist|not found|is missing|no Adapter)/i);
    await fleet.apply(await clusterAdapter('nowhere', 'adapters/reverse'));
    await waitFor('it to heal', async () => (await fleet.rollout('lost'))?.phase === 'Healthy');
  });

  it('an Adapter and a rollout with as many labels and as long annotations as the API server takes', async () => {
    const labels = Object.fromEntries(
      Array.from({ length: 5000 }, (_, i) => [`l${i}.example.com/${'x'.repeat(40)}`, 'v'.repeat(60)]),
    );
    const annotations = { note: '☃ ünïcödé'.repeat(15_000) };
    const [adapter = ''] = (await clusterAdapter('big', 'adapters/reverse')).split('---');
    const body = adapter.replace(
      'metadata: {name: big}',
      `metadata: ${JSON.stringify({ name: 'big', labels, annotations })}`,
    );
    const create = (yaml: string) =>
      fleet.cluster.kubectlOk(['-n', fleet.namespace, 'create', '-f', '-'], yaml);
    await create(body);
    await create(
      rolloutYaml('large', 'big', '{setWeight: 100}').replace(
        'metadata: {name: large}',
        `metadata: ${JSON.stringify({ name: 'large', labels, annotations })}`,
      ),
    );
    await waitFor('it to serve', async () => (await fleet.rollout('large'))?.phase === 'Healthy');
    for (const node of fleet.nodes)
      await waitFor('an answer', async () => (await askMoon(node, 'large')).text === moon.reverse);
  });

  it('a rollout with a thousand steps, and one whose request and weights are nonsense', async () => {
    const many = await fleet.cluster.kubectlWith(
      {
        stdin: rolloutYaml(
          'many',
          'upper',
          Array.from({ length: 1000 }, (_, i) => `{setWeight: ${i % 100}}`).join(', '),
        ),
      },
      '-n',
      fleet.namespace,
      'apply',
      '-f',
      '-',
    );
    expect(many.code).toBe(1);
    expect(many.stderr).toMatch(/steps.*(at most|must have)/i);
    await fleet.cluster.kubectlOk([
      '-n',
      fleet.namespace,
      'annotate',
      'aro',
      'shout',
      `adaptlet.io/request=${'☃'.repeat(20_000)}`,
      '--overwrite',
    ]);
    await waitFor('an event that says so', async () =>
      (await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'get', 'events', '-o', 'json'])).includes(
        'RequestRefused',
      ),
    );
  });
});
