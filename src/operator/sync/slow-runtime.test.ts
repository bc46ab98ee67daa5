import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import { nodeToken } from './fake-replica.ts';
import type { FakeRuntime } from './fake-runtime.ts';
import { adapter, Stage } from './stage.fixture.ts';

const stage = new Stage();
const { dial, eventually, ended, connected, quiet } = stage;

const adapters = 3_000;
const changes = 10_000;
const gauges = () => stage.replica.server.gauges();

const putAll = (priority = 0): void => {
  for (let n = 0; n < adapters; n++) stage.replica.objects.adapters.put(adapter(`a-${n}`, { priority }));
};
/** Changes one Adapter after the other; the last round gives each of them its final priority. */
const change = async (): Promise<void> => {
  for (let n = 1; n <= changes; n++) {
    stage.replica.objects.adapters.put(adapter(`a-${n % adapters}`, { priority: 1 + (n % 999) }));
    if (n % 100 === 0) await turn();
  }
};
const newest = (): Record<string, number> =>
  Object.fromEntries(
    [...stage.replica.objects.adapters.list()].map(({ key, object }) => [
      `AdapterSpec ${key}`,
      object?.spec.priority ?? 0,
    ]),
  );
const held = (runtime: FakeRuntime): Record<string, number> =>
  Object.fromEntries(
    runtime
      .of('put')
      .map(({ key, body }) => [key, (JSON.parse(String(body)) as { priority?: number }).priority ?? 0]),
  );
/** Connects, and reads nothing. */
const deaf = async (): Promise<FakeRuntime> => {
  const runtime = dial();
  runtime.call.pause();
  runtime.hello();
  await eventually('the first bytes', () => gauges().bytes > 0);
  for (let before = -1; before !== gauges().bytes; ) {
    before = gauges().bytes;
    await quiet();
  }
  return runtime;
};

describe('a runtime that does not read', () => {
  it('costs one state while 10,000 changes pass, and gets exactly the newest one afterwards', async () => {
    putAll();
    const runtime = await deaf();
    const sent = gauges().bytes;
    expect(sent).toBeLessThan(400_000);
    await change();
    await quiet();
    expect([gauges().bytes, gauges().commits]).toEqual([sent, 0]);
    runtime.call.resume();
    await eventually('what was under way', () => runtime.commits === 1);
    runtime.ack(1n);
    await eventually('the newest state', () => runtime.commits === 2);
    runtime.ack(2n);
    await quiet();
    expect(runtime.commits).toBe(2);
    expect(held(runtime)).toEqual(newest());
    // Each Adapter once as it was, and once as it is.
    expect(runtime.of('put')).toHaveLength(2 * adapters);
  });

  it('loses its stream after a minute, costs nothing from then on, and gets the newest state on the next one', async () => {
    putAll();
    const runtime = await deaf();
    stage.clock.advance(60_000);
    await eventually('the end of the session', () => gauges().streams === 0);
    const sent = gauges().bytes;
    await change();
    stage.clock.advance(120_000);
    await quiet();
    expect(gauges().bytes).toBe(sent);
    runtime.call.resume();
    expect(await ended(runtime)).toMatchObject({ code: 'UNAVAILABLE' });
    const again = await connected({ connectionSeq: 2n });
    await eventually('the newest state', () => again.commits === 1);
    expect(held(again)).toEqual(newest());
    expect(again.of('put')).toHaveLength(adapters);
  });

  it('is not read any further while it takes no answers to what it asks', async () => {
    const image = 'r.example/team-a/sql:v1';
    const source = { oci: { image, pullSecretRef: { name: 'login' } } };
    stage.replica.objects.adapters.put(adapter('sql', { source }));
    const header = `Bearer ${'x'.repeat(16_000)}`;
    stage.replica.pulls.answer = async () => ({ header, lifetimeMs: 1_000 });
    const runtime = dial(nodeToken());
    runtime.hello();
    await eventually('the plan', () => runtime.commits === 1);
    runtime.ack(1n);
    runtime.call.pause();
    const asked = 500;
    for (let id = 1n; id <= asked; id++)
      runtime.send({
        $case: 'credential',
        value: { id, key: 'team-a/sql', image, secret: 'login', refused: false },
      });
    runtime.report({ whole: true });
    let looks = 0;
    await waitFor('two minutes', () => {
      stage.clock.advance(2_000);
      return ++looks > 60 && gauges().streams === 1;
    });
    expect(stage.replica.pulls.asked.length).toBeLessThan(100);
    expect(gauges().reports).toBe(0);
    runtime.call.resume();
    await waitFor('all answers', () => {
      stage.clock.advance(500);
      return runtime.of('credential').length === asked && gauges().reports === 1;
    });
  });
});
