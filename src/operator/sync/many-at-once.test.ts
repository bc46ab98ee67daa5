import { describe, expect, it } from 'vitest';
import type { KubeRequest } from '../../kube/client/api.ts';
import { aRuntimeObject, aRuntimeStatus, runtimeKey } from '../testing/fake-fleet.ts';
import { nodeToken, podToken } from './fake-replica.ts';
import { Stage } from './stage.fixture.ts';

const stage = new Stage();
const { dial, eventually, ended, quiet } = stage;

/** Requests that are held back until they are let go, one after the other. */
const hold = (which: (request: KubeRequest) => boolean) => {
  const { before } = stage.api;
  const paths: string[] = [];
  const held: (() => void)[] = [];
  stage.api.before = (request) => {
    if (!which(request)) return before(request);
    paths.push(request.path.slice(request.path.lastIndexOf('/') + 1));
    return new Promise((resolve) => held.push(() => resolve(before(request))));
  };
  return { paths, letOne: () => held.shift()?.() };
};
const come = (name: string) => {
  const runtime = dial(nodeToken(name));
  runtime.hello({}, name);
  return runtime;
};
const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `node-${i + 1}`);
const waiting = () => stage.replica.server.gauges().waiting;

describe('many runtimes that come at once', () => {
  it('are greeted sixteen at a time, those with a canary on trial first', async () => {
    const { paths, letOne } = hold(({ method }) => method === 'PATCH');
    for (const name of numbered(16)) come(name);
    await eventually('the first', () => paths.length === 16);
    const plain = come('plain');
    await eventually('one that waits', () => waiting() === 1);
    const underWay = { rollout: 'team-a/sql', adapter: 'v2', state: 'Resident', weight: 10 };
    const status = { ...aRuntimeStatus(false), rollouts: [underWay] };
    stage.replica.objects.runtimes.put(aRuntimeObject(runtimeKey('adaptlet-system/canary'), {}, status));
    const canary = come('canary');
    await eventually('two that wait', () => waiting() === 2);
    expect([plain.ended, canary.ended, paths.length]).toEqual([undefined, undefined, 16]);
    letOne();
    await eventually('the next', () => paths.length > 16);
    expect(paths[16]).toBe('canary');
    letOne();
    await eventually('the last', () => paths.length > 17);
    expect(paths[17]).toBe('plain');
  });

  it('ask the API server about 32 tokens at a time, and one that hangs does not hold up others', async () => {
    const { paths } = hold(({ path }) => path.endsWith('/tokenreviews'));
    for (const name of numbered(34)) come(name);
    await eventually('those that wait', () => waiting() === 2);
    await quiet();
    expect(paths).toHaveLength(32);
    stage.clock.advance(1_000);
    await eventually('the others', () => paths.length === 34);
  });

  it('wait for no strangers whose tokens are asked about, where they were here a moment ago', async () => {
    const first = come('node-1');
    await eventually('a Welcome', () => first.welcomed);
    first.close();
    const { paths } = hold(({ path }) => path.endsWith('/tokenreviews'));
    for (const name of numbered(34)) dial(podToken(name));
    await eventually('strangers that wait', () => waiting() === 2);
    const again = dial(nodeToken('node-1'));
    again.hello({ connectionSeq: 2n }, 'node-1');
    await eventually('a Welcome', () => again.welcomed);
    // Nobody's turn has ended meanwhile.
    expect([paths.length, waiting()]).toEqual([32, 2]);
  });

  it('are asked about before strangers, where they were here before', async () => {
    const first = come('node-1');
    await eventually('a Welcome', () => first.welcomed);
    first.close();
    stage.clock.advance(61_000);
    const { paths, letOne } = hold(({ path }) => path.endsWith('/tokenreviews'));
    for (const name of numbered(34)) dial(podToken(name));
    await eventually('strangers that wait', () => waiting() === 2);
    const again = dial(nodeToken('node-1'));
    again.hello({ connectionSeq: 2n }, 'node-1');
    await eventually('one more that waits', () => waiting() === 3);
    letOne();
    await eventually('the next question', () => paths.length === 33);
    // All but those of the two that are asked about last.
    for (let one = 0; one < 32; one++) letOne();
    await eventually('a Welcome', () => again.welcomed);
  });

  it('are told when to come again where they would wait for too long, and the newest stream of one waits alone', async () => {
    const { paths } = hold(({ method }) => method === 'PATCH');
    for (const name of numbered(16)) come(name);
    await eventually('the first', () => paths.length === 16);
    const [old, late] = [come('late'), dial(nodeToken('late'))];
    await eventually('one that waits', () => waiting() === 1);
    late.hello({ connectionSeq: 2n }, 'late');
    expect(await ended(old)).toMatchObject({ error: 'CONNECTION_REPLACED' });
    expect(waiting()).toBe(1);
    const others = numbered(40).slice(16).map(come);
    await eventually('all that wait', () => waiting() === others.length + 1);
    // Every turn hangs for a second and then lets another one begin. The others are told.
    stage.clock.advance(6_000);
    await eventually('the next sixteen', () => paths.length === 32);
    const told = await eventually('those who are told', () => {
      const over = [late, ...others].flatMap((one) => one.ended ?? []);
      return over.length === 9 && over;
    });
    expect(new Set(told.map(({ code, retryAfterMs }) => `${code} ${retryAfterMs}`))).toEqual(
      new Set(['UNAVAILABLE 5000']),
    );
    expect(waiting()).toBe(0);
  });
});
