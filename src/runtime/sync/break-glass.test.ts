import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { type Digest, objectKey } from '../../api/names.ts';
import { adapter, at, split } from '../../control/plans.fixture.ts';
import type { SplitResource } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { effectiveWeight, route as routeRequest } from '../routing/route.ts';
import { MemoryOperator, settle } from './testing/memory-operator.ts';
import { startTestNode } from './testing/test-node.ts';

const sql = objectKey('team-a', 'sql');
const digests: Readonly<Record<string, Digest>> = {
  a: fakeDigest('a'),
  b: fakeDigest('b'),
  c: fakeDigest('c'),
};
const arm = (name: string) => ({
  adapter: name,
  uid: `uid-${name}`,
  digest: digests[name] ?? fakeDigest('0'),
});
const canary = (name: string, attempt = 1) => ({ ...arm(name), seed: '00000000000000aa', attempt });

let folder: string;
let nodes: AsyncDisposableStack;
beforeEach(() => {
  nodes = new AsyncDisposableStack();
  folder = folderOfTest();
});
afterEach(async () => {
  await nodes.disposeAsync();
});

/** A connected node with a, b and c in RAM and one rollout. */
const start = async (body: Partial<SplitResource['body']>) => {
  const operator = new MemoryOperator();
  const clock = new FakeClock();
  const node = nodes.use(await startTestNode({ folder, dial: operator.dial, clock }));
  const connect = async () => {
    (await waitFor('the stream', () => operator.streams[0])).welcome();
  };
  await connect();
  const put = async (change: Partial<SplitResource['body']>) => {
    operator.last.put(...['a', 'b', 'c'].map((name) => adapter(name)), split('sql', change));
    operator.last.commit(at(5));
    await settle();
  };
  await put(body);
  for (const name of ['a', 'b', 'c']) {
    node.residency.states.set(`team-a/${name}`, { state: 'Resident', digest: digests[name] ?? '' });
  }
  const served = (user = 'u1') =>
    routeRequest(
      node.plan.table,
      { namespace: 'team-a', model: 'sql', user, headers: new Map() },
      node.facts,
      'r1',
    ).candidates[0];
  const weight = () => {
    const found = node.plan.table.splits.get(sql);
    return found === undefined ? -1 : effectiveWeight(found, node.facts);
  };
  const reported = async () => {
    clock.advance(100);
    await settle();
    return operator.last.reports.flatMap(({ rollouts }) => rollouts).at(-1);
  };
  return { ...node, put, served, weight, reported };
};

describe('breaking the glass on a node that follows an operator', () => {
  it('takes the canary out at once, reports it, and keeps it out through steps and a restart', async () => {
    const node = await start({ stable: arm('a'), canary: canary('b'), weight: 100 });
    expect(node.served()).toMatchObject({ arm: 'canary', digest: digests['b'] });
    expect(await node.source.verb(sql, 'rollback')).toMatchObject({ phase: 'Degraded', canary: 'b' });
    expect(node.served()).toMatchObject({ arm: 'stable', digest: digests['a'] });
    expect(await node.reported()).toMatchObject({
      effectiveWeight: 0,
      weight: 100,
      holds: [{ digest: digests['b'], cause: 'BreakGlass', attempt: 1 }],
    });
    await node.put({ stable: arm('a'), canary: canary('b'), weight: 50 });
    expect(node.weight()).toBe(0);
    await node.source.close();
    const again = nodes.use(await startTestNode({ folder }));
    expect(again.holds.isHeld('uid-sql', fakeDigest('b'))).toBe(true);
  });

  it.each([
    ['the operator tries the canary again', { stable: arm('a'), canary: canary('b', 2), weight: 40 }, 40],
    ['another canary comes', { stable: arm('a'), canary: canary('c'), weight: 30 }, 30],
  ])('gives it free when %s', async (_, next, weight) => {
    const node = await start({ stable: arm('a'), canary: canary('b'), weight: 20 });
    await node.source.verb(sql, 'rollback');
    await node.put(next);
    expect(node.weight()).toBe(weight);
    expect(node.holds.all()).toEqual([]);
  });

  it('tries an adapter again that had failed, when the operator does', async () => {
    const node = await start({ stable: arm('a'), canary: canary('b'), weight: 20 });
    node.residency.states.set('team-a/b', { state: 'Failed', reason: 'ADAPTER_NO_EFFECT' });
    await node.put({ stable: arm('a'), canary: canary('b'), weight: 0 });
    expect(node.residency.retried).toEqual([]);
    await node.put({ stable: arm('a'), canary: canary('b', 2), weight: 0 });
    expect(node.residency.retried).toEqual(['team-a/b']);
  });

  it('goes back to the stable before where none is under way, until the operator has another stable', async () => {
    const node = await start({ stable: arm('b'), former: arm('a') });
    expect(node.served()).toMatchObject({ key: 'team-a/b' });
    expect(await node.source.verb(sql, 'rollback')).toMatchObject({
      phase: 'Degraded',
      message: expect.stringContaining('a serves'),
    });
    expect(node.served()).toMatchObject({ key: 'team-a/a', digest: digests['a'], arm: 'stable' });
    expect(await node.reported()).toMatchObject({ holds: [{ digest: digests['b'], cause: 'BreakGlass' }] });
    // A routine change is no decision about what was held.
    await node.put({ stable: arm('b'), former: arm('a'), guard: { maxConsecutiveErrors: 9 } });
    expect(node.served()).toMatchObject({ key: 'team-a/a' });
    await node.put({ stable: arm('c'), former: arm('b') });
    expect(node.served()).toMatchObject({ key: 'team-a/c' });
    expect(node.holds.all()).toEqual([]);
  });

  it('refuses to go back to what would not serve, and holds nothing', async () => {
    const node = await start({ stable: arm('b'), former: arm('a') });
    node.residency.refusals.set('team-a/a', 'SIGNATURE_MISSING: nobody signed it');
    const asked = node.source.verb(sql, 'rollback');
    await expect(asked).rejects.toMatchObject({
      code: 'VERB_REFUSED',
      message: expect.stringContaining('a, the one before, would not serve: SIGNATURE_MISSING'),
    });
    expect(node.holds.all()).toEqual([]);
    expect(node.served()).toMatchObject({ key: 'team-a/b' });
  });

  it('goes back by one version, and says what to do for an older one', async () => {
    const node = await start({ stable: arm('b'), former: arm('a') });
    await node.source.verb(sql, 'rollback');
    await expect(node.source.verb(sql, 'rollback')).rejects.toMatchObject({
      code: 'VERB_REFUSED',
      message: expect.stringMatching(
        /b was rolled back on this node, and a serves; .*`kubectl adaptlet undo sql -n team-a --to ADAPTER`.*by the name of an older Adapter/,
      ),
    });
    expect(node.served()).toMatchObject({ key: 'team-a/a' });
    // As the error says: by its own name.
    const context = { namespace: 'team-a', model: 'c', user: 'u1', headers: new Map() };
    expect(routeRequest(node.plan.table, context, node.facts, 'r1').candidates[0]).toMatchObject({
      key: 'team-a/c',
    });
  });

  it('keeps a stable out for good that its guard had held for a while', async () => {
    const node = await start({ stable: arm('b'), former: arm('a') });
    node.holds.hold('uid-sql', fakeDigest('b'), 'Guard', 'failed 5 times', { arm: 'stable' });
    await node.source.verb(sql, 'rollback');
    node.holds.recover('uid-sql', fakeDigest('b'));
    expect(node.holds.all()).toMatchObject([{ cause: 'BreakGlass', arm: 'stable' }]);
    expect(node.served()).toMatchObject({ key: 'team-a/a' });
  });

  it('gives free what it held by retry', async () => {
    const node = await start({ stable: arm('b'), former: arm('a') });
    await node.source.verb(sql, 'rollback');
    await node.source.verb(sql, 'retry');
    expect(node.served()).toMatchObject({ key: 'team-a/b' });
    await expect(node.source.verb(sql, 'retry')).rejects.toMatchObject({ code: 'VERB_REFUSED' });
  });

  it('serves a canary that the operator made stable all the same', async () => {
    const node = await start({ stable: arm('a'), canary: canary('b'), weight: 20 });
    await node.source.verb(sql, 'rollback');
    await node.put({ stable: arm('b'), former: arm('a') });
    expect(node.served()).toMatchObject({ key: 'team-a/b', digest: digests['b'] });
  });

  it.each([
    ['there is no stable before', { stable: arm('b') }, 'Resident'],
    ['the one before would have to be downloaded', { stable: arm('b'), former: arm('a') }, 'Remote'],
    ['nothing serves yet', {}, 'Resident'],
  ])('refuses a rollback when %s', async (_, body, state) => {
    const node = await start(body);
    node.residency.states.set('team-a/a', { state });
    await expect(node.source.verb(sql, 'rollback')).rejects.toMatchObject({ code: 'VERB_REFUSED' });
    expect(node.holds.all()).toEqual([]);
  });

  it.each([
    ['promote', 'promote sql'],
    ['promote-full', 'promote sql --full'],
    ['abort', 'abort sql'],
  ] as const)('sends who wants to %s to the operator', async (verb, words) => {
    const node = await start({ stable: arm('a'), canary: canary('b'), weight: 20 });
    await expect(node.source.verb(sql, verb)).rejects.toMatchObject({
      code: 'VERB_REFUSED',
      message: expect.stringContaining(`kubectl adaptlet ${words} -n team-a`),
    });
    await expect(node.source.verb(objectKey('team-a', 'none'), verb)).rejects.toMatchObject({
      code: 'MODEL_NOT_FOUND',
    });
  });
});
