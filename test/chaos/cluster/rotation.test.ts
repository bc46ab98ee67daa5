import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toSecret } from '../../../src/operator/identity/authority-state.ts';
import { issueAuthority } from '../../../src/operator/identity/certificate.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { traffic } from '../../support/traffic.ts';
import { waitFor } from '../../support/wait.ts';

const day = 86_400_000;

let fleet: TestFleet;
let load: ReturnType<typeof traffic>[];
beforeAll(async () => {
  fleet = await TestFleet.start({ runtimes: 2 });
  for (const name of ['upper', 'reverse'] as const)
    await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
  await follow('upper');
  load = [0, 1].map((i) =>
    traffic(() => fleet.nodes[i] as TestNode, {
      model: 'shout',
      prompt: 'moon:',
      allowed: new Set([moon.upper, moon.reverse]),
      width: 1,
    }),
  );
});
afterAll(async () => {
  await Promise.all(load.map((lane) => lane.stop()));
  await fleet[Symbol.asyncDispose]();
});

/** Every runtime follows a change. */
const follow = async (adapter: 'upper' | 'reverse') => {
  await fleet.apply(rolloutYaml('shout', adapter, '{setWeight: 100}'));
  await waitFor(
    `${adapter} on every runtime`,
    async () => {
      const texts = await Promise.all(fleet.nodes.map(async (node) => (await askMoon(node, 'shout')).text));
      return texts.every((text) => text === moon[adapter]);
    },
    60_000,
  );
};
const replicas = () =>
  Promise.all(fleet.nodes.map(async (node) => (await node.client.status()).operator?.replica ?? ''));
/** Each runtime dials again until all were on this replica. */
const throughReplica = (index: number) =>
  waitFor(
    `every runtime at replica ${index}`,
    async () => {
      const at = await replicas();
      for (const [runtime, replica] of at.entries()) {
        if (replica === '' || replica === `operator-${index}`) continue;
        fleet.door.set(`node-${runtime}`, 'cut');
        fleet.door.set(`node-${runtime}`, 'open');
      }
      return at.every((replica) => replica === `operator-${index}`);
    },
    60_000,
  );
const secret = async (): Promise<Record<string, string>> => {
  const found = await fleet.get<{ data: Record<string, string> }>('secret', 'adaptlet-ca', systemNamespace);
  return Object.fromEntries(
    Object.entries(found?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
  );
};
const patchSecret = (stringData: Record<string, string>) =>
  fleet.cluster.kubectlOk([
    '-n',
    systemNamespace,
    'patch',
    'secret',
    'adaptlet-ca',
    '--type=merge',
    '-p',
    JSON.stringify({ stringData }),
  ]);
const restart = async (index: number) => {
  await fleet.operators[index]?.end('SIGKILL');
  await fleet.restartOperator(index);
};

describe('a rotation of the certificate authority, under traffic and with replicas that are killed in it', () => {
  it('publishes the next authority before it signs; runtimes with either bundle reach every replica', async () => {
    const before = (await secret())['current.crt'];
    const next = await issueAuthority('adaptlet next', {
      from: Date.now() - 60_000,
      until: Date.now() + 300 * day,
    });
    const { 'current.crt': certificate = '', 'current.key': key = '' } = await secret();
    const wanted = toSecret({ current: { certificate, key }, next });
    await patchSecret({ 'next.crt': wanted['next.crt'] ?? '', 'next.key': wanted['next.key'] ?? '' });
    await restart(0);
    await waitFor('it to be published', async () => (await secret())['next.published']);
    expect((await secret())['current.crt']).toBe(before);
    await throughReplica(0);
    await throughReplica(1);
    await follow('reverse');
  });

  it('goes on when the replica that promotes it is killed in the middle, while the other still has the old one', async () => {
    // In the days for which the next one is published every replica has looked at the Secret, which it does every
    // minute; here a restart makes it look at once. One that has not does not take the relay of a replica that signs by
    // the next one, and when it leads it counts the runtimes of the other as away after 10 s.
    await restart(1);
    // As a mounted ConfigMap would be by then.
    await fleet.authority();
    const { 'next.crt': next } = await secret();
    await patchSecret({ 'next.published': new Date(Date.now() - 61 * day).toISOString() });
    const dying = fleet.restartOperator(0);
    await fleet.operators[0]?.end('SIGKILL');
    await waitFor('the promotion', async () => (await secret())['current.crt'] === next);
    await (await dying).end('SIGKILL');
    await throughReplica(1);
    await follow('upper');
    await fleet.restartOperator(0);
    await throughReplica(0);
    await follow('reverse');
    expect((await secret())['former.crt']).toBeDefined();
  });

  it('lets both replicas sign by the new one at the end, with no failed request', async () => {
    await restart(1);
    await throughReplica(1);
    await follow('upper');
    for (const lane of load) await lane.stop();
    for (const { failures, wrong } of load) expect({ failures, wrong }).toEqual({ failures: [], wrong: [] });
  });
});
