import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { clusterAdapter, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { traffic } from '../../support/traffic.ts';
import { waitFor } from '../../support/wait.ts';

const names = ['upper', 'reverse', 'digits', 'hello'] as const;
const allowed = new Set<string>(names.map((name) => moon[name]));

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await TestFleet.start();
  for (const name of names) await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
  await point('upper');
  await settled('upper');
});
afterAll(() => fleet[Symbol.asyncDispose]());

let load: ReturnType<typeof traffic>[];
beforeEach(async () => {
  // Not the last node: some tests take it away.
  load = [0, 1].map((i) =>
    traffic(() => fleet.nodes[i] as TestNode, { model: 'shout', prompt: 'moon:', allowed, width: 2 }),
  );
  await waitFor('traffic', () => load.every((lane) => lane.answered() > 20));
});
afterEach(async () => {
  const answered = load.map((lane) => lane.answered());
  await waitFor('traffic after the fault', () =>
    load.every((l, i) => l.answered() > (answered[i] ?? 0) + 20),
  );
  for (const lane of load) await lane.stop();
  for (const lane of load)
    expect({ failures: lane.failures, wrong: lane.wrong }).toEqual({ failures: [], wrong: [] });
});

/** Straight to the adapter: what a change of the plan costs, without waiting for steps. */
const point = (adapter: string, name = 'shout') =>
  fleet.apply(rolloutYaml(name, adapter, '{setWeight: 100}'));
/** Every runtime answers with the adapter. */
const settled = async (adapter: keyof typeof moon, nodes = fleet.nodes) => {
  await waitFor(
    `${adapter} on every runtime`,
    async () => {
      const texts = await Promise.all(nodes.map(async (node) => (await askMoon(node, 'shout')).text));
      return texts.every((text) => text === moon[adapter]);
    },
    60_000,
  );
};
const healthy = (adapter: string) =>
  waitFor(
    `${adapter} is stable`,
    async () => {
      const status = await fleet.rollout('shout');
      return status?.phase === 'Healthy' && status.stable?.adapter === adapter && status;
    },
    60_000,
  );
const indexOf = async () => fleet.operators.indexOf(await fleet.leader());

describe('under traffic, with no failed request', () => {
  it('goes on when the leader is killed: another one leads', async () => {
    const index = await indexOf();
    await fleet.operators[index]?.end('SIGKILL');
    await point('reverse');
    await settled('reverse');
    await fleet.startOperator(index);
  });

  it('is not led back by a leader that was paused past its lease', async () => {
    const index = await indexOf();
    const old = fleet.operators[index];
    old?.signal('SIGSTOP');
    await point('digits');
    const after = await healthy('digits');
    await settled('digits');
    old?.signal('SIGCONT');
    await waitFor('the old leader to step down', async () =>
      /^adaptlet_operator_leader 0$/m.test((await old?.metrics()) ?? ''),
    );
    const status = await fleet.rollout('shout');
    expect(status?.leaderEpoch).toBeGreaterThanOrEqual(after.leaderEpoch ?? Number.NaN);
    expect(status?.stable?.adapter).toBe('digits');
    await settled('digits');
  });

  it('goes on while the API server is killed and comes back', async () => {
    await fleet.cluster.stopApiServer('SIGKILL');
    await settled('digits');
    await fleet.cluster.startApiServer();
    await point('hello');
    await settled('hello');
  });

  it('goes on when etcd forgets the history and the API server starts anew', async () => {
    await fleet.cluster.compactEtcd();
    await fleet.cluster.restartApiServer();
    await point('upper');
    await settled('upper');
  });

  it('takes a runtime back that was killed, with what it had', async () => {
    await fleet.nodes[2]?.end('SIGKILL');
    await point('reverse');
    await settled('reverse', fleet.nodes.slice(0, 2));
    await fleet.startNode(2);
    await settled('reverse');
  });

  it('brings a runtime that was cut off straight to the newest version', async () => {
    const node = fleet.nodes[2] as TestNode;
    fleet.door.set('node-2', 'cut');
    await waitFor('it is away', async () =>
      (await fleet.runtime(2))?.conditions.some((c) => c.type === 'Connected' && c.status === 'False'),
    );
    const served = new Set<string>();
    let watching = true;
    const watch = (async () => {
      while (watching) served.add((await askMoon(node, 'shout')).text);
    })();
    await point('digits');
    await healthy('digits');
    await point('hello');
    await healthy('hello');
    expect((await askMoon(node, 'shout')).text).toBe(moon.reverse);
    fleet.door.set('node-2', 'open');
    await settled('hello');
    watching = false;
    await watch;
    expect([...served].toSorted()).toEqual([moon.hello, moon.reverse].toSorted());
  });

  it('notices a link that is silently dead, and follows again when it is back', async () => {
    fleet.door.set('node-2', 'silent');
    await point('upper');
    await settled('upper', fleet.nodes.slice(0, 2));
    fleet.door.set('node-2', 'cut');
    fleet.door.set('node-2', 'open');
    await settled('upper');
  });

  it('does not let one bad adapter hold back another rollout', async () => {
    await fleet.apply(await clusterAdapter('broken', 'variants/broken-nan'));
    await point('upper', 'other');
    await waitFor('the other rollout', async () => (await fleet.rollout('other'))?.phase === 'Healthy');
    await point('broken', 'other');
    await point('digits');
    await settled('digits');
    await waitFor('the verdict', async () => (await fleet.rollout('other'))?.phase === 'Degraded');
    await point('upper', 'other');
  });

  it('keeps stable when a prune takes it away in the apply that selects the next', async () => {
    const label = 'metadata: {labels: {app: pruned}, ';
    const labelled = async (name: string, path: string) =>
      (await clusterAdapter(name, path)).replace('metadata: {', label);
    const select = (adapter: string) =>
      rolloutYaml('pruned', adapter, '{setWeight: 50}, {pause: {}}').replace('metadata: {', label);
    const kinds = ['Adapter', 'AdapterRollout'].map(
      (kind) => `--prune-allowlist=adaptlet.io/v1alpha1/${kind}`,
    );
    const applyAll = (yaml: string) =>
      fleet.cluster.kubectlOk(
        ['-n', fleet.namespace, 'apply', '--prune', '-l', 'app=pruned', ...kinds, '-f', '-'],
        yaml,
      );
    await applyAll((await labelled('one', 'adapters/upper')) + select('one'));
    await waitFor('stable', async () => (await fleet.rollout('pruned'))?.phase === 'Healthy');
    await applyAll((await labelled('two', 'adapters/hello')) + select('two'));
    await waitFor('the canary', async () => {
      const { rollouts } = await (fleet.nodes[0] as TestNode).client.status();
      return rollouts.find(({ key }) => key.endsWith('/pruned'))?.effectiveWeight === 50;
    });
    const texts = new Set<string>();
    for (let i = 0; i < 60; i++)
      texts.add((await askMoon(fleet.nodes[0] as TestNode, 'pruned', `u${i}`)).text);
    expect([...texts].toSorted()).toEqual([moon.hello, moon.upper].toSorted());
    await fleet.plugin('promote', 'pruned');
    await waitFor('stable is two', async () => (await fleet.rollout('pruned'))?.stable?.adapter === 'two');
  });

  it('starts a runtime from its disk without an operator, and resends nothing when it is back', async () => {
    await Promise.all(fleet.operators.map((operator) => operator.end('SIGKILL')));
    await fleet.nodes[2]?.end('SIGKILL');
    const node = await fleet.startNode(2);
    expect((await askMoon(node, 'shout')).text).toBe(moon.digits);
    const operator = await fleet.startOperator(0);
    await waitFor(
      'it is connected',
      async () => (await node.client.status()).operator?.state === 'connected',
    );
    await waitFor('its plan is confirmed', async () =>
      (await fleet.runtime(2))?.conditions.some((c) => c.type === 'InSync' && c.status === 'True'),
    );
    const sent = await operator.metrics();
    await fleet.startOperator(1);
    expect(sent).toMatch(/^adaptlet_operator_sync_puts_total 0$/m);
    expect(sent).toMatch(/^adaptlet_operator_sync_sent_bytes_total 0$/m);
  });

  it('empties nothing when its rights are withdrawn, and follows again when they are back', async () => {
    const binding = await fleet.cluster.kubectlOk([
      'get',
      'clusterrolebinding',
      'adaptlet-operator',
      '-o',
      'yaml',
    ]);
    await fleet.cluster.kubectlOk(['delete', 'clusterrolebinding', 'adaptlet-operator']);
    await fleet.cluster.restartApiServer();
    await waitFor(
      'the operators to say so',
      async () => {
        const answers = await Promise.all(fleet.operators.map((o) => fetch(`${o.http}/readyz`)));
        return answers.every(({ status }) => status === 503);
      },
      110_000,
    );
    await settled('digits');
    for (const node of fleet.nodes) expect((await node.client.status()).rollouts.length).toBeGreaterThan(1);
    await fleet.cluster.kubectlOk(
      ['create', '-f', '-'],
      binding.replace(/^ {2}(uid|resourceVersion):.*\n/gm, ''),
    );
    await point('upper');
    await settled('upper');
    await waitFor('the operators to watch every kind again', async () => {
      const answers = await Promise.all(fleet.operators.map((o) => fetch(`${o.http}/readyz`)));
      return answers.every(({ status }) => status === 200);
    });
    expect(await fleet.sentBytes()).toBeGreaterThan(0);
  });

  it('empties nothing when the CRDs are deleted under it, and says so', async () => {
    const start = Date.now();
    await fleet.cluster.kubectlOk([
      'delete',
      'crd',
      'adapterrollouts.adaptlet.io',
      'adapterroutes.adaptlet.io',
      '--timeout=30s',
    ]);
    await fleet.cluster.kubectl('delete', 'crd', 'adapters.adaptlet.io', '--wait=false');
    // Longer than the operator waits before it believes that something was deleted.
    const end = performance.now() + 8000;
    while (performance.now() < end) await settled('upper');
    for (const node of fleet.nodes) expect((await node.client.status()).rollouts.length).toBeGreaterThan(1);
    // Which of the two depends on whether the objects or their kind were seen to go first.
    const said = ['nothing is removed from runtimes', 'a list or watch failed'];
    for (const { log } of fleet.operators) {
      await waitFor('it to say so', () =>
        log.some(
          (line) =>
            line.startsWith('{') &&
            (JSON.parse(line) as { time: number }).time > start &&
            said.some((text) => line.includes(text)),
        ),
      );
    }
  });
});
