import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adaptlet } from '../../support/cli.ts';
import { clusterAdapter, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { traffic } from '../../support/traffic.ts';
import { waitFor } from '../../support/wait.ts';

let fleet: TestFleet;
let load: ReturnType<typeof traffic>[] = [];
beforeAll(async () => {
  fleet = await TestFleet.start({ runtimes: 2 });
  for (const name of ['upper', 'reverse', 'hello'] as const)
    await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
  await point('shout', 'upper');
  await answers('shout', moon.upper);
});
afterAll(async () => {
  await Promise.all(load.map((lane) => lane.stop()));
  await fleet[Symbol.asyncDispose]();
});

const point = (name: string, adapter: string) => fleet.apply(rolloutYaml(name, adapter, '{setWeight: 100}'));
const answers = (model: string, text: string, nodes = fleet.nodes) =>
  waitFor(
    `${text} of ${model}`,
    async () => {
      const texts = await Promise.all(nodes.map(async (node) => (await askMoon(node, model)).text));
      return texts.every((each) => each === text);
    },
    60_000,
  );
/** The versions that are lost: while the restored cluster has not made as many again, it is known as one that went back. */
const spendVersions = async (count: number) => {
  const items = Array.from({ length: count }, (_, i) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: `spent-${i}` },
  }));
  const list = { apiVersion: 'v1', kind: 'List', items };
  await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'create', '-f', '-'], JSON.stringify(list));
};
const follow = (allowed: readonly string[]) => {
  load = [0, 1].map((i) =>
    traffic(() => fleet.nodes[i] as TestNode, {
      model: 'shout',
      prompt: 'moon:',
      allowed: new Set(allowed),
    }),
  );
};
const stop = async () => {
  for (const lane of load) await lane.stop();
  for (const { failures, wrong } of load) expect({ failures, wrong }).toEqual({ failures: [], wrong: [] });
};

describe('an etcd that comes back from an older backup', () => {
  it('is noticed by replicas that run: they are neither ready nor alive and say why; nothing changes on a node', async () => {
    await fleet.cluster.backUpEtcd();
    await spendVersions(300);
    await point('shout', 'reverse');
    await point('late', 'hello');
    await answers('shout', moon.reverse);
    await answers('late', moon.hello);
    follow([moon.reverse]);
    // One of them is away through all of it.
    fleet.door.set('node-1', 'cut');
    await fleet.cluster.restoreEtcd();
    for (const { http } of fleet.operators) {
      for (const page of ['readyz', 'livez']) {
        await waitFor(
          `no at /${page}`,
          async () => {
            const answer = await fetch(`${http}/${page}`);
            return answer.status === 503 && (await answer.text()).includes('went back');
          },
          90_000,
        );
      }
    }
    await answers('late', moon.hello);
  });

  it('is mended by the kubelet, which starts replicas that are not alive anew', async () => {
    await Promise.all(
      [0, 1].map(async (index) => {
        await fleet.operators[index]?.end();
        const { http } = await fleet.startOperator(index);
        for (const page of ['livez', 'readyz'])
          await waitFor(`yes at /${page}`, async () => (await fetch(`${http}/${page}`)).ok);
      }),
    );
    await fleet.leader();
  });

  it('is not followed through those replicas, also by one that was away: runtimes keep their plan and say how to go on', async () => {
    fleet.door.set('node-1', 'open');
    for (const node of fleet.nodes) {
      await waitFor(
        'the advice',
        async () => (await node.client.status()).operator?.lastError.includes('`adaptlet trust-cluster`'),
        60_000,
      );
    }
    await answers('shout', moon.reverse);
    await answers('late', moon.hello);
    await stop();
  });

  it('is followed by the runtime where a person says so, and by no other', async () => {
    follow([moon.reverse, moon.upper]);
    const [first, second] = fleet.nodes as [TestNode, TestNode];
    await adaptlet('trust-cluster', '--admin', first.admin);
    await answers('shout', moon.upper, [first]);
    await answers('shout', moon.reverse, [second]);
    await adaptlet('trust-cluster', '--admin', second.admin);
    await answers('shout', moon.upper);
    await stop();
    await point('shout', 'reverse');
    await answers('shout', moon.reverse);
  });
});
