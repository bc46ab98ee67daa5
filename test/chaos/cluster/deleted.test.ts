import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Kind } from '../../cluster/index.ts';
import { adaptlet } from '../../support/cli.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { traffic } from '../../support/traffic.ts';
import { waitFor } from '../../support/wait.ts';

let fleet: TestFleet;
let load: ReturnType<typeof traffic>[];
beforeAll(async () => {
  fleet = await TestFleet.start({ runtimes: 2 });
  for (const name of ['upper', 'reverse', 'hello'] as const)
    await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
  await point('shout', 'upper');
  await point('other', 'hello');
  await settled('shout', 'upper');
  await settled('other', 'hello');
});
afterAll(() => fleet[Symbol.asyncDispose]());
beforeEach(() => {
  load = [0, 1].map((i) =>
    traffic(() => fleet.nodes[i] as TestNode, {
      model: 'shout',
      prompt: 'moon:',
      allowed: new Set([moon.upper, moon.reverse]),
      width: 1,
    }),
  );
});
afterEach(async () => {
  for (const lane of load) await lane.stop();
  for (const { failures, wrong } of load) expect({ failures, wrong }).toEqual({ failures: [], wrong: [] });
});

const point = (name: string, adapter: string) => fleet.apply(rolloutYaml(name, adapter, '{setWeight: 100}'));
const settled = (model: string, adapter: keyof typeof moon) =>
  waitFor(
    `${adapter} on every runtime`,
    async () => {
      const texts = await Promise.all(fleet.nodes.map(async (node) => (await askMoon(node, model)).text));
      return texts.every((text) => text === moon[adapter]);
    },
    60_000,
  );
const system = (...args: readonly string[]) => fleet.cluster.kubectlOk(['-n', systemNamespace, ...args]);
const bundle = () => system('get', 'configmap', 'adaptlet-ca', '-o', 'jsonpath={.data.ca\\.crt}');
const uidOf = async (kind: Kind, name: string) =>
  (await fleet.get<{ metadata: { uid: string } }>(kind, name, systemNamespace))?.metadata.uid;
/** How often its AdapterRuntime was made in 5 s, in the words of a watch. */
const madeAgain = async (name: string) => {
  const { code, stdout, stderr } = await fleet.cluster.kubectl(
    '-n',
    systemNamespace,
    'get',
    'adr',
    `--field-selector=metadata.name=${name}`,
    '--watch-only',
    '--output-watch-events',
    '--request-timeout=5s',
    '--output=jsonpath={.type}{"\\n"}',
  );
  if (code !== 0) throw new Error(`the watch failed: ${stderr}`);
  return stdout.split('\n').filter((line) => line.startsWith('ADDED')).length;
};
const connected = () =>
  waitFor('every runtime to be connected', async () => {
    const states = await Promise.all(fleet.nodes.map((node) => node.client.status()));
    return states.every(({ operator }) => operator?.state === 'connected');
  });

describe('deleted under operators that run, with no failed request', () => {
  it('the Lease: one leader again, whose term is not lower', async () => {
    const epoch = (await fleet.rollout('shout'))?.leaderEpoch ?? 0;
    const lease = await uidOf('lease', 'adaptlet-operator');
    await system('delete', 'lease', 'adaptlet-operator');
    await waitFor('another Lease', async () => {
      const now = await uidOf('lease', 'adaptlet-operator');
      return now !== undefined && now !== lease;
    });
    await point('shout', 'reverse');
    await settled('shout', 'reverse');
    await waitFor('it to be settled', async () => (await fleet.rollout('shout'))?.phase === 'Healthy');
    expect((await fleet.rollout('shout'))?.leaderEpoch).toBeGreaterThanOrEqual(epoch);
    const leads = await Promise.all(
      fleet.operators.map(async (each) => /^adaptlet_operator_leader 1$/m.test(await each.metrics())),
    );
    expect(leads.filter(Boolean)).toHaveLength(1);
  });

  it('AdapterRuntimes, all of them: they are there again while the runtimes stay connected', async () => {
    const before = await Promise.all(fleet.nodes.map((node) => node.client.status()));
    const uid = await uidOf('adr', 'node-0');
    await system('delete', 'adr', '--all', '--wait=false');
    for (const index of [0, 1]) {
      await waitFor(`AdapterRuntime ${index}`, async () =>
        (await fleet.runtime(index))?.conditions.some((c) => c.type === 'Connected' && c.status === 'True'),
      );
    }
    expect(await uidOf('adr', 'node-0')).not.toBe(uid);
    const after = await Promise.all(fleet.nodes.map((node) => node.client.status()));
    expect(after.map(({ operator }) => operator?.since)).toEqual(
      before.map(({ operator }) => operator?.since),
    );
    await point('shout', 'upper');
    await settled('shout', 'upper');
  });

  it('Secret and ConfigMap of the certificate authority: whichever replica looks first makes them, and all agree within a minute', async () => {
    await system('delete', 'secret', 'adaptlet-ca');
    await system('delete', 'configmap', 'adaptlet-ca');
    await point('shout', 'upper');
    await settled('shout', 'upper');
    await fleet.operators[1]?.end('SIGKILL');
    await fleet.startOperator(1);
    // As a rule another one, made by the replica that starts; the one before when the other looks in this very moment.
    await waitFor('a bundle', async () => (await bundle()) !== '');
    await point('shout', 'reverse');
    await settled('shout', 'reverse');
    // The runtimes read it with their next connection, as from a mounted ConfigMap.
    await fleet.authority();
    // Until both have looked, the two trust each other as little as the runtimes trust the new one.
    await waitFor(
      'a relay between the replicas',
      async () => {
        const texts = await Promise.all(fleet.operators.map((operator) => operator.metrics()));
        return texts.some((text) => /^adaptlet_operator_relay_connected 1$/m.test(text));
      },
      90_000,
    );
    for (const index of [0, 1]) {
      fleet.door.set(`node-${index}`, 'cut');
      fleet.door.set(`node-${index}`, 'open');
    }
    await connected();
    await point('shout', 'upper');
    await settled('shout', 'upper');
  });

  it('the namespace of a team with adapters in use: other teams do not notice, and most of it stays until somebody confirms', async () => {
    const tenant = await fleet.cluster.createNamespace('tenant');
    const names = ['a', 'b', 'c', 'd'];
    const objects = names.map((name) => rolloutYaml(name, 'upper', '{setWeight: 100}'));
    await fleet.cluster.kubectlOk(
      ['-n', tenant, 'apply', '-f', '-'],
      (await clusterAdapter('upper', 'adapters/upper')) + objects.join(''),
    );
    const rollouts = async () =>
      Promise.all(fleet.nodes.map(async (each) => (await each.client.status()).rollouts.length));
    await waitFor('all rollouts', async () => (await rollouts()).every((count) => count === 6));
    await fleet.cluster.kubectlOk(['delete', 'namespace', tenant, '--wait=false']);
    await waitFor(
      'the namespace to be gone',
      async () => (await fleet.cluster.kubectl('get', 'namespace', tenant)).code !== 0,
      60_000,
    );
    await waitFor('the brake', async () => {
      const all = await Promise.all(fleet.nodes.map((each) => each.client.status()));
      return all.every(({ operator }) => operator?.removalsHeld !== undefined);
    });
    // Half of them may have gone before it was clear that more would.
    for (const count of await rollouts()) expect(count).toBeGreaterThanOrEqual(3);
    for (const { admin } of fleet.nodes)
      expect((await adaptlet('confirm-removals', '--admin', admin)).code).toBe(0);
    expect(await rollouts()).toEqual([2, 2]);
    await settled('shout', 'upper');
    await settled('other', 'hello');
  });

  it('a Node: its AdapterRuntime goes with it and is not written in a circle; the runtime serves on, and is back with the Node', async () => {
    const lost = await fleet.startNode(2);
    const isConnected = async () =>
      (await fleet.runtime(2))?.conditions.some((c) => c.type === 'Connected' && c.status === 'True');
    await waitFor('it to be connected', isConnected, 60_000);
    const uid = await uidOf('adr', 'node-2');
    await fleet.cluster.kubectlOk(['delete', 'node', 'node-2']);
    await waitFor('it to be collected', async () => (await uidOf('adr', 'node-2')) !== uid, 60_000);
    // The garbage collector takes each one, and the wait for the next doubles: from half a second to a second on.
    expect(await madeAgain('node-2')).toBeLessThan(5);
    expect((await askMoon(lost, 'shout')).text).toBe(moon.upper);
    await lost.end('SIGKILL');
    await system('delete', 'pod', 'adaptlet-runtime-2', '--wait=true', '--grace-period=0', '--force');
    await fleet.startNode(2);
    await waitFor('it to be connected again', isConnected, 60_000);
    await point('shout', 'reverse');
    await settled('shout', 'reverse');
  });
});
