import { describe, expect, it } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import { countsToWire } from '../../control/arm-counts.ts';
import {
  AdapterReport,
  type Hello,
  Identity_Kind,
  RolloutReport,
} from '../../gen/adaptlet/control/v1/control.ts';
import { evenArm } from '../../rollout/judge/judge.fixture.ts';
import { nodeToken, podToken } from './fake-replica.ts';
import type { FakeRuntime } from './fake-runtime.ts';
import { digest, Stage } from './stage.fixture.ts';

const stage = new Stage();
const { dial, ended, eventually, quiet } = stage;

/** A runtime of each kind that says what is not so, and one that does not. */
const kinds = [
  {
    what: 'a node',
    key: objectKey('adaptlet-system', 'evil'),
    token: nodeToken('evil'),
    identity: { namespace: 'adaptlet-system', name: 'evil', kind: Identity_Kind.NODE },
  },
  {
    what: 'a pod',
    key: objectKey('team-a', 'evil'),
    token: podToken('evil'),
    identity: { namespace: 'team-a', name: 'evil', kind: Identity_Kind.POD },
  },
] as const;

describe.each(kinds)('$what that lies', ({ key, token, identity }) => {
  const greet = (more: Partial<Hello> = {}): FakeRuntime => {
    const runtime = dial(token);
    runtime.hello({ identity, ...more });
    return runtime;
  };
  const connected = async (more: Partial<Hello> = {}): Promise<FakeRuntime> => {
    const runtime = greet(more);
    await eventually('a Welcome', () => runtime.welcomed);
    return runtime;
  };
  const honest = async (): Promise<FakeRuntime> => {
    const runtime = await stage.connected();
    runtime.report({ whole: true, ready: true, message: 'well' });
    await eventually('a report', () => stage.replica.fleet.get(objectKey('adaptlet-system', 'node-1')));
    return runtime;
  };
  const isLeftAlone = (runtime: FakeRuntime): void => {
    expect(runtime.ended).toBeUndefined();
    expect(stage.replica.fleet.get(objectKey('adaptlet-system', 'node-1'))).toMatchObject({
      connected: true,
      message: 'well',
    });
  };

  it.each([
    ['node-1', Identity_Kind.NODE],
    ['app-1', Identity_Kind.POD],
  ])('is not %s, whose token it does not have', async (name, kind) => {
    const other = await honest();
    const runtime = greet({ identity: { ...identity, name, kind } });
    expect(await ended(runtime)).toMatchObject({ code: 'PERMISSION_DENIED' });
    isLeftAlone(other);
  });

  it.each([
    ['a name that is none', { adapters: [{ ...AdapterReport.create(), key: 'team-a/../b' }] }],
    [
      'a digest that is none',
      { adapters: [{ ...AdapterReport.create(), key: 'team-a/x', digest: 'sha256:1' }] },
    ],
    ['more adapters than anybody has', { gone: Array.from({ length: 50_001 }, () => 'team-a/x') }],
    [
      'counts of a weight that is none',
      { rollouts: [{ ...RolloutReport.create(), key: 'team-a/x', counts: [wireCounts(101, 1)] }] },
    ],
  ])('ends its own stream, and no other, by %s', async (_, report) => {
    const other = await honest();
    const runtime = await connected();
    runtime.report({ whole: true, ...report });
    expect(await ended(runtime)).toMatchObject({ error: 'HELLO_INVALID' });
    expect(stage.replica.fleet.get(key)?.adapters.size ?? 0).toBe(0);
    isLeftAlone(other);
  });

  it('ends its own stream by a report of more than 16 MiB', async () => {
    const other = await honest();
    const runtime = await connected();
    runtime.report({ whole: true, message: 'x'.repeat(17 << 20) });
    expect(await ended(runtime)).toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    isLeftAlone(other);
  });

  it('is read at a bounded pace, whatever it sends, and the others meanwhile', async () => {
    const other = await honest();
    const runtime = await connected();
    const before = stage.replica.server.gauges().reports;
    runtime.report({ whole: true });
    for (let n = 0; n < 500; n += 1)
      runtime.report({ adapters: [{ ...AdapterReport.create(), key: `team-a/forged-${n}`, uid: 'u' }] });
    await quiet();
    expect(stage.replica.server.gauges().reports - before).toBeLessThan(100);
    other.report({ ready: true, message: 'well' });
    await quiet();
    isLeftAlone(other);
  });

  it('does not come back with an old connection, and takes nothing back with it', async () => {
    const runtime = await connected({ connectionSeq: 9n });
    runtime.report({ whole: true, ready: true, message: 'new' });
    await eventually('a report', () => stage.replica.fleet.get(key)?.message === 'new');
    const replay = greet({ connectionSeq: 3n });
    replay.report({ whole: true, ready: true, message: 'old' });
    expect(await ended(replay)).toMatchObject({ error: 'CONNECTION_REPLACED' });
    expect(stage.replica.fleet.get(key)).toMatchObject({ connectionSeq: 9n, message: 'new' });
  });

  it('has what it says of adapters and rollouts that it was never sent kept apart, and gone with its next report', async () => {
    const runtime = await connected();
    const keys = Array.from({ length: 100 }, (_, n) => `team-a/forged-${n}`);
    runtime.report({
      whole: true,
      adapters: keys.map((one) => ({
        ...AdapterReport.create(),
        key: one,
        uid: 'u',
        digest,
        state: 'Failed',
      })),
      rollouts: keys.map((one) => ({
        ...RolloutReport.create(),
        key: one,
        canaryDigest: fakeDigest('9'),
        counts: [wireCounts(50, 1)],
      })),
    });
    await eventually('a report', () => stage.replica.fleet.get(key)?.rollouts.size === 100);
    expect(runtime.of('put')).toEqual([]);
    runtime.report({ whole: true });
    await waitFor('nothing of it', () => {
      stage.clock.advance(100);
      const { adapters, rollouts } = stage.replica.fleet.get(key) ?? {};
      return adapters?.size === 0 && rollouts?.size === 0;
    });
  });
});

function wireCounts(weight: number, seq: number) {
  const arm = evenArm(10, 1).snapshot();
  return countsToWire({ weight, seq, stable: arm, canary: arm });
}
