import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import { waitFor } from '../../support/wait.ts';

const names = ['upper', 'reverse', 'digits', 'hello'] as const;
const users = Array.from({ length: 200 }, (_, i) => `u${i}`);

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await TestFleet.start();
  for (const name of names) await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
});
afterAll(() => fleet[Symbol.asyncDispose]());

const steps = '{setWeight: 20}, {pause: {}}, {setWeight: 60}, {pause: {}}';
const point = (adapter: string) => fleet.apply(rolloutYaml('shout', adapter, steps));
const phase = (wanted: string) =>
  waitFor(`phase ${wanted}`, async () => {
    const status = await fleet.rollout('shout');
    return status?.phase === wanted && status;
  });
const weight = (canary: number) =>
  waitFor(`weight ${canary} on every runtime`, async () => {
    const applied = await Promise.all(
      fleet.nodes.map(async (node) => {
        const { rollouts } = await node.client.status();
        return rollouts.find((r) => r.key.endsWith('/shout'))?.effectiveWeight;
      }),
    );
    return applied.every((w) => w === canary);
  });
/** The answers of every runtime to every user. */
const answers = async (model: string) =>
  Promise.all(
    fleet.nodes.map(async (node) => {
      const texts = new Map<string, string>();
      for (const user of users) texts.set(user, (await askMoon(node, model, user)).text);
      return texts;
    }),
  );
/** Waits as scripts, Argo CD and Flux do: by conditions alone. */
const kubectlWait = (type: string, ...objects: readonly string[]) => {
  const condition = `--for=condition=${type}`;
  return fleet.cluster.kubectlOk(['-n', fleet.namespace, 'wait', condition, '--timeout=30s', ...objects]);
};
const plugin = (...args: readonly string[]) => fleet.plugin(...args);

describe('an operator and its runtimes', () => {
  it('has a runtime object for each runtime, connected and ready', async () => {
    await waitFor('three connected runtimes', async () => {
      const all = await Promise.all([0, 1, 2].map((i) => fleet.runtime(i)));
      return all.every((status) =>
        ['Connected', 'Ready'].every((type) =>
          status?.conditions.some((c) => c.type === type && c.status === 'True'),
        ),
      );
    });
  });

  it('lets the first adapter of a rollout serve on all of them, without steps', async () => {
    await point('upper');
    const status = await phase('Healthy');
    expect(status.stable?.adapter).toBe('upper');
    for (const node of fleet.nodes) {
      const { text, served } = await waitFor('an answer', () => askMoon(node, 'shout', 'u1'));
      expect(text).toBe(moon.upper);
      expect(served).toMatchObject({ adapter: 'upper', arm: 'stable', digest: status.stable?.digest });
    }
  });

  it('moves the same users to the canary on every runtime', async () => {
    await point('reverse');
    await weight(20);
    await kubectlWait('Reconciling', 'aro/shout');
    const [first, ...others] = await answers('shout');
    const canary = users.filter((user) => first?.get(user) === moon.reverse);
    expect(canary.length / users.length).toBeGreaterThan(0.1);
    expect(canary.length / users.length).toBeLessThan(0.3);
    for (const other of others) expect(other).toEqual(first);
    const { stdout } = await plugin('who-gets', 'shout', '--user', canary[0] ?? '');
    expect(stdout).toContain('reverse (canary)');
  });

  it('says what share the canary really had', async () => {
    // The first reports are about the first few answers.
    const seen = await waitFor('the observed share of all answers', async () => {
      const status = await fleet.rollout('shout');
      return Math.abs((status?.weights.observedCanary ?? 0) - 20) < 8 && status;
    });
    expect(seen.runtimes).toMatchObject({ desired: 3, updated: 3, ready: 3, failed: 0, held: 0, offline: 0 });
  });

  it('goes on by promote, keeps users where they were, and ends at the new stable', async () => {
    const before = await answers('shout');
    await plugin('promote', 'shout');
    await weight(60);
    const after = await answers('shout');
    for (const [i, texts] of before.entries())
      for (const [user, text] of texts)
        if (text === moon.reverse) expect(after[i]?.get(user)).toBe(moon.reverse);
    await plugin('promote', 'shout');
    expect((await phase('Healthy')).stable?.adapter).toBe('reverse');
    for (const node of fleet.nodes)
      await waitFor('the new stable', async () => (await askMoon(node, 'shout')).text === moon.reverse);
  });

  it('refuses a verb that does not apply, with the reason', async () => {
    const { code, stderr } = await plugin('promote', 'shout');
    expect(code).toBe(1);
    expect(stderr).toContain('no canary is under way');
  });

  it('reaches every runtime with an abort, and with a revert of the spec', async () => {
    await point('digits');
    await weight(20);
    await plugin('abort', 'shout');
    await weight(0);
    expect(await phase('Degraded')).toMatchObject({ weights: { canary: 0, stable: 100 } });
    await plugin('retry', 'shout');
    await weight(20);
    await point('reverse');
    await weight(0);
    expect(await phase('Healthy')).toMatchObject({ completionStatus: 'RolledBack' });
  });

  it('undo goes back to the stable before, without steps', async () => {
    await plugin('undo', 'shout');
    expect(await phase('Healthy')).toMatchObject({
      stable: { adapter: 'upper' },
      completionStatus: 'FastRolledBack',
    });
    await fleet.apply(rolloutYaml('shout', 'upper', steps));
  });

  it('respects a break-glass on one node, counts it, and lets retry end it', async () => {
    await point('digits');
    await weight(20);
    const [node] = fleet.nodes;
    if (node === undefined) throw new Error('no node');
    await new Promise<void>((resolve, reject) => {
      node.client.admin.rollback({ rollout: 'shout' }, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    await waitFor('the report', async () => (await fleet.rollout('shout'))?.runtimes?.held === 1);
    expect(await fleet.rollout('shout')).toMatchObject({ phase: 'Paused', weights: { canary: 20 } });
    const weights = await Promise.all(
      fleet.nodes.map(
        async (n) =>
          (await n.client.status()).rollouts.find((r) => r.key.endsWith('/shout'))?.effectiveWeight,
      ),
    );
    expect(weights).toEqual([0, 20, 20]);
    await plugin('abort', 'shout');
    await plugin('retry', 'shout');
    await weight(20);
    await point('upper');
    await phase('Healthy');
  });

  it('routes by user, and says whether the route is in force', async () => {
    const rules = `  - {name: ann, matches: [{user: {in: [ann]}}], targets: [{adapter: hello}]}\n  - {name: rest, targets: [{rollout: shout}]}\n`;
    await fleet.apply(
      `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRoute\nmetadata: {name: assistant}\nspec:\n  model: assistant\n  rules:\n${rules}`,
    );
    await waitFor('programmed', async () => {
      const route = await fleet.get<{ status?: { runtimes: { programmed: number; desired: number } } }>(
        'art',
        'assistant',
      );
      return route?.status?.runtimes.programmed === 3;
    });
    for (const node of fleet.nodes) {
      expect((await askMoon(node, 'assistant', 'ann')).text).toBe(moon.hello);
      expect((await askMoon(node, 'assistant', 'bob')).text).toBe(moon.upper);
    }
  });

  it('is waited for by kubectl wait, whatever the kind', async () => {
    for (const kind of ['ad', 'aro', 'art']) await kubectlWait('Ready', kind, '--all');
    await kubectlWait('Ready', 'adr', '--all', '-n', systemNamespace);
    await kubectlWait('Healthy', 'aro/shout');
  });

  it('brings an adapter that nothing preloads when a request asks for it', async () => {
    await fleet.apply(await clusterAdapter('rare', 'adapters/digits'));
    const [node] = fleet.nodes;
    if (node === undefined) throw new Error('no node');
    const { text, served } = await waitFor('the answer', () => askMoon(node, 'rare'));
    expect(text).toBe(moon.digits);
    expect(served.adapter).toBe('rare');
    await expect(askMoon(node, 'never-heard-of')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });

  it('refuses a broken adapter on every runtime and keeps stable', async () => {
    await fleet.apply(await clusterAdapter('broken', 'variants/broken-nan'));
    await point('broken');
    await kubectlWait('Stalled', 'aro/shout', 'ad/broken');
    const status = await phase('Degraded');
    expect(status.message).toContain('ADAPTER_NOT_FINITE');
    for (const node of fleet.nodes) expect((await askMoon(node, 'shout')).text).toBe(moon.upper);
    const adapter = await waitFor('failures', async () => {
      const found = await fleet.get<{ status?: { failures: { reason: string }[] } }>('ad', 'broken');
      return (found?.status?.failures.length ?? 0) === 3 && found;
    });
    expect(adapter.status?.failures[0]?.reason).toMatch(/^[A-Z_]+$/);
    await point('upper');
    await phase('Healthy');
  });

  it('keeps an Adapter that is in use until it is not', async () => {
    await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'delete', 'ad', 'upper', '--wait=false']);
    await point('hello');
    await weight(20);
    for (const node of fleet.nodes)
      expect((await askMoon(node, 'shout', users[0])).text).toMatch(/MOON|hello/);
    expect(await fleet.get('ad', 'upper')).toBeDefined();
    await plugin('promote', 'shout');
    await plugin('promote', 'shout');
    await phase('Healthy');
    for (const node of fleet.nodes)
      await waitFor('the new stable', async () => (await askMoon(node, 'shout')).text === moon.hello);
  });
});
