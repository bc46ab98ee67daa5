import { describe, expect, it } from 'vitest';
import { heldHashOf } from '../../control/held-versions.ts';
import type { Held } from '../../gen/adaptlet/control/v1/control.ts';
import { answerMs } from './delivery.ts';
import type { FakeRuntime } from './fake-runtime.ts';
import { adapter, Stage } from './stage.fixture.ts';

const stage = new Stage();
const { connected, eventually, quiet } = stage;

const hashOf = (held: readonly Held[]): Buffer =>
  heldHashOf(held.map(({ key, version }) => [key, { version }]));
const putsOf = (runtime: FakeRuntime): Held[] =>
  runtime.of('put').map(({ key, version }) => ({ key, version }));

/** A runtime that was sent adapters of these names, has answered and went away. */
const away = async (...names: string[]): Promise<Held[]> => {
  for (const name of names) stage.replica.objects.adapters.put(adapter(name));
  const first = await connected();
  await eventually('a commit', () => first.commits === 1);
  first.ack(1n);
  await quiet();
  first.close();
  return putsOf(first);
};
const back = (heldHash: Buffer, seq = 2n) =>
  connected({ connectionSeq: seq, heldHash, clusterUid: 'cluster-1' });

describe('a runtime that comes back with the hash of what it holds', () => {
  it('is told nothing where that is its plan', async () => {
    const again = await back(hashOf(await away('a', 'b')));
    await quiet();
    expect(again.messages.map(({ $case }) => $case)).toEqual(['welcome']);
    expect(stage.replica.server.gauges()).toMatchObject({ puts: 2, listsWanted: 0 });
  });

  it('is told what changed while it was away, by the replica that had it', async () => {
    const held = await away('a', 'b');
    stage.replica.objects.adapters.put(adapter('b', { priority: 3 }));
    stage.replica.objects.adapters.put(adapter('c'));
    await quiet();
    const again = await back(hashOf(held));
    await eventually('a commit', () => again.commits === 1);
    expect(again.keys()).toEqual(['AdapterSpec team-a/b', 'AdapterSpec team-a/c']);
    expect(stage.replica.server.gauges().listsWanted).toBe(0);
  });

  it('is so also when the stream between ended before it was told anything', async () => {
    const held = await away('a');
    stage.replica.objects.state = { ok: false, reason: 'Adapter: silent' };
    const between = await back(hashOf(held));
    between.close();
    await quiet();
    stage.replica.objects.state = { ok: true, reason: '' };
    stage.replica.objects.adapters.put(adapter('b'));
    const again = await back(hashOf(held), 3n);
    await eventually('a commit', () => again.commits === 1);
    expect(again.keys()).toEqual(['AdapterSpec team-a/b']);
    expect(stage.replica.server.gauges().listsWanted).toBe(0);
  });

  it('is asked for the list where nobody knows the hash, and sent the difference to it', async () => {
    const held = await away('a', 'b');
    const unknown = [...held.slice(0, 1), { key: 'AdapterSpec team-a/b', version: 'other' }];
    const again = await back(hashOf(unknown));
    await eventually('a question', () => again.of('heldWanted').length === 1);
    await quiet();
    expect(again.messages.map(({ $case }) => $case)).toEqual(['welcome', 'heldWanted']);
    again.send({ $case: 'held', value: { held: unknown, sameParts: [] } });
    await eventually('a commit', () => again.commits === 1);
    expect(again.keys()).toEqual(['AdapterSpec team-a/b']);
    expect(stage.replica.server.gauges().listsWanted).toBe(1);
  });

  it('is ended when it leaves the question unanswered', async () => {
    stage.replica.objects.adapters.put(adapter('a'));
    const runtime = await back(Buffer.alloc(32));
    await eventually('a question', () => runtime.of('heldWanted').length === 1);
    stage.clock.advance(answerMs + 1);
    expect(await stage.ended(runtime)).toMatchObject({
      error: 'REPLICA_UNAVAILABLE',
      details: expect.stringContaining('what it holds'),
    });
  });
});

describe('a runtime that lies about what it holds', () => {
  it.each([
    ['a hash of another length', { heldHash: Buffer.alloc(31) }],
    ['a hash and a list', { heldHash: Buffer.alloc(32), held: [{ key: 'k', version: 'v' }] }],
  ])('is ended for %s', async (_, more) => {
    const runtime = stage.dial();
    runtime.hello(more);
    expect(await stage.ended(runtime)).toMatchObject({ error: 'HELLO_INVALID' });
  });

  it('is ended for a list that it was not asked for', async () => {
    const runtime = await connected();
    runtime.send({ $case: 'held', value: { held: [], sameParts: [] } });
    expect(await stage.ended(runtime)).toMatchObject({ error: 'HELLO_INVALID' });
  });

  it('is ended for a list that nobody reads', async () => {
    stage.replica.objects.adapters.put(adapter('a'));
    const runtime = await back(Buffer.alloc(32));
    await eventually('a question', () => runtime.of('heldWanted').length === 1);
    runtime.send({ $case: 'held', value: { held: [{ key: 'k'.repeat(401), version: 'v' }], sameParts: [] } });
    expect(await stage.ended(runtime)).toMatchObject({ error: 'HELLO_INVALID' });
  });
});
