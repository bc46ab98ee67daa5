import { describe, expect, it } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import { objectKey } from '../../api/names.ts';
import { aRollout, aRoute, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { nodeToken } from './fake-replica.ts';
import { adapter, digest, Stage } from './stage.fixture.ts';

const stage = new Stage();
const { dial, eventually, ended, connected, quiet } = stage;

describe('a stream of a runtime', () => {
  it('gets a Welcome with the uid of the cluster, then the plan as one commit', async () => {
    stage.replica.objects.adapters.put(adapter('sql'));
    stage.replica.objects.rollouts.put(
      aRollout({ name: 'r' }, { adapter: 'sql' }, aStatus({ stable: bound('sql') })),
    );
    const runtime = await connected();
    await eventually('a commit', () => runtime.commits === 1);
    expect(runtime.messages[0]).toEqual({
      $case: 'welcome',
      value: {
        clusterUid: 'cluster-1',
        replica: 'operator-a',
        readsHeldHash: true,
        feedbackKeys: [{ namespace: '', key: expect.any(Uint8Array) as Uint8Array }],
      },
    });
    expect(runtime.keys()).toEqual(['AdapterSpec team-a/sql', 'Split team-a/r']);
    expect(runtime.messages.at(-1)).toMatchObject({
      $case: 'commit',
      value: { nonce: 1n, revision: stage.replica.objects.revision(), confirmedRemovals: '' },
    });
  });

  it('that is older than the next authority gets what that signs ids of answers with, once', async () => {
    const runtime = await connected();
    const [welcome] = runtime.of('welcome');
    stage.clock.advance(280 * 86_400_000);
    // The first one may be under way since then.
    for (let look = 0; look < 2; look += 1) await stage.replica.authority.refresh();
    await eventually('the keys', () => runtime.of('feedbackKeys').length > 0);
    const keys = runtime.of('feedbackKeys')[0]?.keys;
    expect(keys).toHaveLength(2);
    expect(keys?.[0]).toEqual(welcome?.feedbackKeys[0]);
    await stage.replica.authority.refresh();
    await quiet();
    expect(runtime.of('feedbackKeys')).toHaveLength(1);
    expect(runtime.ended).toBeUndefined();
  });

  it('gets nothing that it holds, and nothing more while nothing changes', async () => {
    stage.replica.objects.adapters.put(adapter('sql'));
    const first = await connected();
    await eventually('a commit', () => first.commits === 1);
    const [put] = first.of('put');
    const [commit] = first.of('commit');
    first.ack(1n);
    first.close();
    const held = [{ key: put?.key ?? '', version: put?.version ?? '' }];
    const again = await connected({
      connectionSeq: 2n,
      held,
      clusterUid: 'cluster-1',
      revision: commit?.revision,
    });
    await quiet();
    expect(again.messages.map(({ $case }) => $case)).toEqual(['welcome']);
    expect(stage.replica.server.gauges().puts).toBe(1);
  });

  it('has one commit under way, and then gets one for everything that happened meanwhile', async () => {
    const runtime = await connected();
    stage.replica.objects.adapters.put(adapter('one'));
    await eventually('a commit', () => runtime.commits === 1);
    for (const priority of [1, 2, 3]) {
      stage.replica.objects.adapters.put(adapter('one', { priority }));
      stage.replica.objects.adapters.put(adapter('two', { priority }));
      await quiet();
    }
    expect(runtime.commits).toBe(1);
    runtime.ack(1n);
    await eventually('the second commit', () => runtime.commits === 2);
    expect(runtime.keys()).toEqual([
      'AdapterSpec team-a/one',
      'AdapterSpec team-a/one',
      'AdapterSpec team-a/two',
    ]);
    expect(JSON.parse(String(runtime.of('put')[2]?.body))).toMatchObject({ priority: 3 });
  });

  it('is ended when a commit is not answered within a minute', async () => {
    stage.replica.objects.adapters.put(adapter('sql'));
    const runtime = await connected();
    await eventually('a commit', () => runtime.commits === 1);
    stage.clock.advance(59_000);
    await quiet();
    expect(runtime.ended).toBeUndefined();
    stage.clock.advance(1_000);
    expect(await ended(runtime)).toMatchObject({ code: 'UNAVAILABLE', error: 'REPLICA_UNAVAILABLE' });
    expect(stage.replica.server.gauges().unanswered).toBe(1);
  });

  it('does not send again what the runtime refused, until it is another version', async () => {
    stage.replica.objects.adapters.put(adapter('bad'));
    stage.replica.objects.adapters.put(adapter('good'));
    const runtime = await connected();
    runtime.report({ whole: true });
    await eventually('a commit', () => runtime.commits === 1);
    const bad = runtime.of('put').find(({ key }) => key.endsWith('bad'));
    runtime.ack(1n, [{ key: bad?.key ?? '', version: bad?.version ?? '', reason: 'no room' }]);
    const state = await eventually('the refusal', () => {
      const known = stage.replica.fleet.get(objectKey('adaptlet-system', 'node-1'));
      return known?.refused.size === 1 ? known : undefined;
    });
    expect([...state.refused]).toEqual([['AdapterSpec team-a/bad', 'no room']]);
    stage.replica.objects.adapters.put(adapter('other'));
    await eventually('the next commit', () => runtime.commits === 2);
    expect(runtime.keys().filter((key) => key.endsWith('bad'))).toHaveLength(1);
    runtime.ack(2n);
    stage.replica.objects.adapters.put(adapter('bad', { priority: 9 }));
    await eventually(
      'another version',
      () => runtime.keys().filter((key) => key.endsWith('bad')).length === 2,
    );
  });

  it('is ended when it answers what it was not sent', async () => {
    const runtime = await connected();
    runtime.ack(7n);
    expect(await ended(runtime)).toMatchObject({ code: 'FAILED_PRECONDITION', error: 'HELLO_INVALID' });
  });

  it('brings adapters that requests ask for, and tells of names that nothing has', async () => {
    stage.replica.objects.adapters.put(adapter('rare', { preload: { tier: 'None' } }));
    const runtime = await connected();
    await quiet();
    expect(runtime.keys()).toEqual([]);
    runtime.subscribe('team-a/rare', 'team-a/nothing');
    await eventually('a commit', () => runtime.commits === 1);
    expect(runtime.keys()).toEqual(['AdapterSpec team-a/rare']);
    expect(runtime.of('unknown')).toEqual([{ names: ['team-a/nothing'] }]);
  });

  it('gets nothing that it does not have while it is cordoned, and all of it afterwards', async () => {
    const { objects } = stage.replica;
    objects.adapters.put(adapter('sql'));
    const runtime = await connected();
    await eventually('a commit', () => runtime.commits === 1);
    runtime.ack(1n);
    const owners = [{ apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: 'uid-of-node-1' }];
    const ask = (spec: { cordoned?: boolean; held?: boolean }) =>
      objects.runtime('adaptlet-system', 'node-1', {}, {}, owners, spec);
    ask({ cordoned: true });
    objects.adapters.put(adapter('more'));
    await quiet();
    expect(runtime.commits).toBe(1);
    // Also after its first report, and what a request asks for comes all the same.
    runtime.report({ whole: true, adapters: [] });
    await quiet();
    runtime.subscribe('team-a/more');
    await eventually('the adapter of the request', () => runtime.commits === 2);
    runtime.ack(2n);
    ask({ held: true });
    objects.routes.put(aRoute({ name: 'x' }));
    runtime.report({});
    await quiet();
    expect(runtime.commits).toBe(2);
    ask({});
    await eventually('the rest', () => runtime.commits === 3);
    expect(runtime.keys()).toContain('Route team-a/x');
  });

  it('removes what was deleted only after the CRDs were found in order', async () => {
    stage.replica.objects.adapters.put(adapter('sql'));
    const runtime = await connected();
    await eventually('a commit', () => runtime.commits === 1);
    runtime.ack(1n);
    stage.replica.objects.adapters.delete(objectKey('team-a', 'sql'));
    await quiet();
    expect(runtime.of('remove')).toEqual([]);
    expect(stage.replica.server.gauges().gate.waiting).toBe(1);
    stage.clock.advance(3_000);
    await eventually('the removal', () => runtime.commits === 2);
    expect(runtime.of('remove')).toEqual(['AdapterSpec team-a/sql']);
  });

  it('leaves alone what is there and not valid any more', async () => {
    stage.replica.objects.routes.put(aRoute({ name: 'x' }));
    const runtime = await connected();
    await eventually('a commit', () => runtime.commits === 1);
    runtime.ack(1n);
    stage.replica.objects.routes.put(aRoute({ name: 'x' }), false);
    stage.clock.advance(10_000);
    await quiet();
    expect(runtime.commits).toBe(1);
  });

  it('passes on the removals that a person confirmed on the AdapterRuntime', async () => {
    const runtime = await connected();
    stage.replica.objects.runtime('adaptlet-system', 'node-1', {}, { 'adaptlet.io/confirm-removals': 'f1' }, [
      { apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: 'uid-of-node-1' },
    ]);
    await eventually('a commit', () => runtime.commits === 1);
    expect(runtime.of('commit')[0]?.confirmedRemovals).toBe('f1');
  });

  it('is sent nothing while what this replica sees may be old; the stream stays', async () => {
    const runtime = await connected();
    stage.replica.objects.state = { ok: false, reason: 'Adapter: silent' };
    stage.replica.objects.adapters.put(adapter('sql'));
    await quiet();
    expect([runtime.commits, runtime.ended]).toEqual([0, undefined]);
    stage.replica.objects.state = { ok: true, reason: '' };
    stage.replica.objects.progress({});
    await eventually('a commit', () => runtime.commits === 1);
  });

  it('writes no further than the runtime reads', async () => {
    for (let n = 0; n < 3_000; n++) stage.replica.objects.adapters.put(adapter(`a-${n}`));
    const runtime = dial();
    runtime.call.pause();
    runtime.hello();
    const bytes = () => stage.replica.server.gauges().bytes;
    await eventually('the first bytes', () => bytes() > 0);
    let before = -1;
    while (bytes() !== before) {
      before = bytes();
      await quiet();
    }
    expect(before).toBeLessThan(400_000);
    runtime.call.resume();
    await eventually('all of it', () => runtime.commits === 1);
    expect(bytes()).toBeGreaterThan(800_000);
    expect(runtime.keys()).toHaveLength(3_000);
  });

  it('ends when the runtime has nothing more to say', async () => {
    const runtime = await connected();
    runtime.call.end();
    expect(await ended(runtime)).toMatchObject({ code: 'OK' });
    await eventually('nothing is left', () => stage.replica.server.gauges().streams === 0);
  });
});

describe('reports', () => {
  const key = objectKey('adaptlet-system', 'node-1');
  it('reach the fleet: everything first, then what changed', async () => {
    const runtime = await connected({ executionProvider: 'cpu' });
    const one = {
      key: 'team-a/one',
      uid: 'u',
      digest,
      state: 'Stored',
      reason: '',
      message: '',
      isFinal: false,
      inTurn: false,
    };
    const rest = { storedBytes: 10n, residentBytes: 0n, neededBytes: 0n, rank: 8, targetModules: ['q_proj'] };
    runtime.report({ whole: true, adapters: [{ ...one, ...rest }], ready: true, message: '' });
    await eventually('a report', () => stage.replica.fleet.get(key)?.adapters.size === 1);
    runtime.report({ adapters: [{ ...one, ...rest, state: 'Resident' }], gone: [] });
    await eventually(
      'a change',
      () => stage.replica.fleet.get(key)?.adapters.get(objectKey('team-a', 'one'))?.state === 'Resident',
    );
    runtime.report({ gone: ['team-a/one'] });
    await eventually('its end', () => stage.replica.fleet.get(key)?.adapters.size === 0);
    expect(stage.replica.fleet.get(key)).toMatchObject({
      kind: 'Node',
      ready: true,
      connected: true,
      info: { node: 'node-1', pod: 'pod-of-node-1', ownerUid: 'uid-of-node-1', executionProvider: 'cpu' },
    });
  });

  it('are read as fast as they are worth, and none is lost', async () => {
    const runtime = await connected();
    runtime.report({ whole: true });
    for (let n = 1; n <= 200; n++) runtime.report({ ready: true, message: String(n) });
    await quiet();
    const early = stage.replica.server.gauges().reports;
    expect(early).toBeLessThan(100);
    await waitFor('all of them', () => {
      stage.clock.advance(500);
      return stage.replica.fleet.get(key)?.message === '200';
    });
  });

  it('end 10 seconds after the stream did', async () => {
    const runtime = await connected();
    runtime.report({ whole: true });
    await eventually('a report', () => stage.replica.fleet.get(key)?.connected);
    runtime.close();
    await eventually('the end', () => stage.replica.server.gauges().streams === 0);
    stage.clock.advance(9_000);
    expect(stage.replica.fleet.get(key)?.connected).toBe(true);
    stage.clock.advance(1_000);
    expect(stage.replica.fleet.get(key)?.connected).toBe(false);
  });
});

describe('a replica that goes', () => {
  it('ends its streams one after the other within two seconds, and takes no new one', async () => {
    const all = await Promise.all([1, 2, 3, 4].map((n) => connected({}, `node-${n}`)));
    const closing = stage.replica.server.close(10_000);
    await eventually('the first', () => all.filter((one) => one.ended !== undefined).length === 1);
    const late = dial(nodeToken('node-9'));
    late.hello({}, 'node-9');
    expect(await ended(late)).toMatchObject({ code: 'UNAVAILABLE' });
    stage.clock.advance(1_000);
    await eventually('half of them', () => all.filter((one) => one.ended !== undefined).length >= 2);
    expect(all.filter((one) => one.ended !== undefined).length).toBeLessThan(4);
    stage.clock.advance(1_000);
    await closing;
    await eventually('all', () => all.every((one) => one.ended?.code === 'UNAVAILABLE'));
  });
});
