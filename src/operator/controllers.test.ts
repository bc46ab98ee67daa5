import { performance } from 'node:perf_hooks';
import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../api/names.fixture.ts';
import { type ObjectKey, objectKey } from '../api/names.ts';
import { keyOf } from '../api/references.ts';
import type { RolloutSpec } from '../api/rollout.ts';
import { WorkQueue } from '../kube/queue/queue.ts';
import { anAdapter, aRollout, aRoute } from '../plan/manifests.fixture.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { AdapterController } from './adapter/controller.ts';
import { noNodes } from './nodes/nodes.ts';
import type { Controller } from './reconcile/controller.ts';
import { observationsPerSecond, writeRates } from './reconcile/write-budget.ts';
import { RolloutController } from './rollout/controller.ts';
import { steps } from './rollout/world.fixture.ts';
import { RouteController } from './route/controller.ts';
import { RuntimeController } from './runtime/controller.ts';
import { FakeCluster } from './testing/fake-cluster.ts';
import {
  anAdapterState,
  aRolloutState,
  aRuntimeObject,
  aRuntimeStatus,
  FakeFleet,
  runtimeKey,
} from './testing/fake-fleet.ts';
import { partsOf } from './testing/parts-of.ts';

/** All controllers on queues, and runtimes that load what rollouts name and follow what is written. */
class Stage {
  readonly cluster = new FakeCluster();
  readonly fleet = new FakeFleet();
  readonly clock = new FakeClock();
  readonly #queues: WorkQueue<ObjectKey>[] = [];
  runs = 0;

  lead(): void {
    const { clock } = this;
    const parts = partsOf(this);
    const controllers: Controller[] = [
      new RolloutController({ ...parts, measure: async () => 0 }),
      new AdapterController({ ...parts, isTerminating: async () => false }),
      new RouteController(parts),
      new RuntimeController({ ...parts, nodes: noNodes }),
    ];
    for (const controller of controllers) {
      const queue = new WorkQueue<ObjectKey>({
        name: controller.name,
        clock,
        random: () => 0,
        logger: pino({ enabled: false }),
        workers: 2,
      });
      queue.run((key, signal) => {
        this.runs++;
        return controller.reconcile(key, signal);
      });
      controller.follow((key, afterMs) => queue.add(key, { afterMs }));
      this.#queues.push(queue);
    }
  }

  /** Lets time pass in small steps, with everything that is due in between. */
  async pass(ms: number, { follow = true } = {}): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      for (let turn = 0; turn < 3; turn++) await Promise.all(this.#queues.map((queue) => queue.idle()));
      if (follow) this.follow();
      this.clock.advance(50);
    }
    for (let turn = 0; turn < 3; turn++) await Promise.all(this.#queues.map((queue) => queue.idle()));
  }

  /** Every runtime loads what it should and follows the rollouts. */
  follow(): void {
    for (const { key } of this.fleet.all()) {
      const adapters = new Map<ObjectKey, ReturnType<typeof anAdapterState>>();
      const rollouts = new Map<ObjectKey, ReturnType<typeof aRolloutState>>();
      for (const { object } of this.cluster.rollouts.server.values()) {
        if (object === undefined) continue;
        const { status, spec, metadata } = object;
        for (const name of [spec.adapter, status?.stable?.adapter, status?.canary?.adapter]) {
          const adapter = this.cluster.adapters.server.get(objectKey(metadata.namespace, name ?? ''))?.object;
          const digest = adapter?.status?.digest;
          if (adapter === undefined || digest === undefined) continue;
          adapters.set(
            keyOf(adapter),
            anAdapterState(adapter.metadata.uid, digest, 'Resident', { storedBytes: 9 }),
          );
        }
        rollouts.set(
          keyOf(object),
          aRolloutState(metadata.uid, {
            stableDigest: status?.stable?.digest ?? '',
            canaryDigest: status?.canary?.digest ?? '',
            attempt: status?.canary?.attempt ?? 0,
            weight: status?.weights.canary ?? 0,
            effectiveWeight: status?.weights.canary ?? 0,
          }),
        );
      }
      const text = (value: unknown): string => JSON.stringify(value);
      const before = this.fleet.get(key);
      const isSame =
        text([...(before?.adapters ?? [])]) === text([...adapters]) &&
        text([...(before?.rollouts ?? [])]) === text([...rollouts]);
      if (!isSame) this.fleet.report(key, { adapters, rollouts });
    }
  }
}

const sql = objectKey('team-a', 'sql');

describe('the controllers together', () => {
  it('bring a rollout from nothing to stable, then through its steps', async () => {
    const stage = new Stage();
    for (const name of ['a', 'b', 'c']) {
      stage.cluster.apply(aRuntimeObject(runtimeKey(name)));
      stage.fleet.report(runtimeKey(name));
    }
    stage.lead();
    stage.cluster.apply(anAdapter({ name: 'v1' }, { source: { oci: { image: 'registry.example/sql:v1' } } }));
    stage.cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v1' }));
    await stage.pass(3000);
    const status = () => stage.cluster.rollouts.server.get(sql)?.object?.status;
    expect(status()).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v1', digest: fakeDigest('f') } });

    const v2 = anAdapter({ name: 'v2' }, { digest: fakeDigest('2') });
    stage.cluster.apply(v2);
    const { status: before, ...rollout } = stage.cluster.rollouts.server.get(sql)!.object!;
    stage.cluster.apply(
      {
        ...rollout,
        spec: { ...rollout.spec, adapter: 'v2' },
        metadata: { ...rollout.metadata, generation: 2 },
        ...(before && { status: before }),
      },
      { generation: 2 },
    );
    // A prune takes the stable Adapter away in the same apply.
    const v1 = stage.cluster.adapters.server.get(objectKey('team-a', 'v1'))!;
    stage.cluster.apply(v1.object!, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    await stage.pass(2000);
    expect(status()).toMatchObject({
      stable: { adapter: 'v1' },
      canary: { adapter: 'v2' },
      weights: { canary: 5 },
    });
    expect(stage.cluster.adapters.server.get(v1.key)?.metadata.finalizers).toEqual(['adaptlet.io/in-use']);
    await stage.pass(190_000);
    expect(status()).toMatchObject({
      phase: 'Healthy',
      stable: { adapter: 'v2' },
      history: [{ adapter: 'v1' }],
    });
    expect(stage.cluster.runtimes.server.get(runtimeKey('a'))?.object?.status?.adapters).toMatchObject({
      resident: 1,
    });
  });

  it('write no status twice to CRDs of an earlier release, which drop what they do not have', async () => {
    const stage = new Stage();
    for (const field of ['columns', 'baseModel']) stage.cluster.unknownFields.add(field);
    stage.cluster.apply(aRuntimeObject(runtimeKey('a')));
    stage.fleet.report(runtimeKey('a'));
    stage.cluster.apply(anAdapter({ name: 'v1' }, { digest: fakeDigest('1') }));
    stage.cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v1' }));
    stage.cluster.apply(aRoute({ name: 'assistant' }));
    stage.lead();
    await stage.pass(60_000);
    expect(stage.cluster.rollouts.server.get(sql)?.object?.status?.phase).toBe('Healthy');
    const writes = stage.cluster.writes.length;
    for (let report = 0; report < 4; report++) {
      // The same as before, in new objects: the controllers look again.
      const { adapters, rollouts } = structuredClone(stage.fleet.get(runtimeKey('a'))) ?? {};
      stage.fleet.report(runtimeKey('a'), { ...(adapters && { adapters }), ...(rollouts && { rollouts }) });
      await stage.pass(11_000);
    }
    expect(stage.cluster.writes.slice(writes)).toEqual([]);
  });

  it('write nothing while nothing happens', async () => {
    const stage = new Stage();
    for (const name of ['a', 'b', 'c']) {
      stage.cluster.apply(aRuntimeObject(runtimeKey(name)));
      stage.fleet.report(runtimeKey(name));
    }
    stage.cluster.apply(anAdapter({ name: 'v1' }, { digest: fakeDigest('1') }));
    stage.cluster.apply(aRollout({ name: 'sql' }, { adapter: 'v1' }));
    stage.cluster.apply(aRoute({ name: 'assistant' }));
    stage.lead();
    await stage.pass(60_000);
    const writes = stage.cluster.writes.length;
    const { runs } = stage;
    await stage.pass(60_000);
    expect(stage.cluster.writes.slice(writes)).toEqual([]);
    expect(stage.runs).toBe(runs);
  });

  it('write about a runtime that comes and goes at a rate that no number of objects raises', async () => {
    const stage = new Stage();
    const objects = 150;
    for (let i = 0; i < objects; i++) {
      stage.cluster.apply(anAdapter({ name: `v${i}` }, { digest: fakeDigest('1') }));
      stage.cluster.apply(aRollout({ name: `sql${i}` }, { adapter: `v${i}` }));
    }
    for (const name of ['a', 'b', 'c']) {
      stage.cluster.apply(aRuntimeObject(runtimeKey(name), {}, aRuntimeStatus(true)));
      stage.fleet.report(runtimeKey(name));
    }
    stage.lead();
    await stage.pass(20_000);
    const statuses = () => [...stage.cluster.rollouts.server.values()].map(({ object }) => object?.status);
    expect(statuses().filter((status) => status?.phase === 'Healthy')).toHaveLength(objects);
    const { runs } = stage;
    const writes = stage.cluster.writes.length;
    const seconds = 60;
    for (let second = 0; second < seconds; second += 2) {
      const connected = second % 4 !== 0;
      stage.fleet.report(runtimeKey('c'), {
        connected,
        ...(connected ? {} : { disconnectedAt: stage.clock.now() }),
      });
      await stage.pass(2000, { follow: false });
    }
    const written = Object.groupBy(stage.cluster.writes.slice(writes), ({ of }) => of.kind);
    for (const kind of ['Adapter', 'AdapterRollout'] as const)
      expect(written[kind]?.length).toBeLessThanOrEqual(20 + seconds);
    // Each time it goes or comes.
    expect(written.AdapterRuntime?.length).toBeLessThanOrEqual(seconds / 2);
    // The first hundred looks at once, and two for each write.
    expect(stage.runs - runs).toBeLessThanOrEqual(
      100 + seconds * 8 + 3 * (stage.cluster.writes.length - writes),
    );
    // In the end all of them say so, each in its turn.
    stage.fleet.report(runtimeKey('c'), { connected: false, disconnectedAt: stage.clock.now() });
    const turnMs = 1000 / writeRates.AdapterRollout.AtRest.perSecond;
    await stage.pass(objects * turnMs, { follow: false });
    expect(new Set(statuses().map((status) => status?.runtimes?.offline))).toEqual(new Set([1]));
  });

  it('write under ten times a second with a step and a flap in every second', async () => {
    const stage = new Stage();
    const runtimes = Array.from({ length: 8 }, (_, at) => runtimeKey(`n${at}`));
    for (const key of runtimes) {
      stage.cluster.apply(aRuntimeObject(key, {}, aRuntimeStatus(true)));
      stage.fleet.report(key);
    }
    const rollouts = Array.from({ length: 20 }, (_, at) => objectKey('team-a', `sql${at}`));
    const status = (key: ObjectKey) => stage.cluster.rollouts.server.get(key)?.object?.status;
    const specify = (at: number, generation: number, spec: Partial<RolloutSpec>): void => {
      const [key = sql] = rollouts.slice(at);
      const { metadata, ...rest } = aRollout(
        { name: `sql${at}` },
        { adapter: `v${2 * at}`, ...spec },
        status(key),
      );
      stage.cluster.apply({ ...rest, metadata: { ...metadata, generation } }, { generation });
    };
    for (let at = 0; at < 2 * rollouts.length; at++)
      stage.cluster.apply(anAdapter({ name: `v${at}` }, { digest: fakeDigest(at % 2 === 0 ? '1' : '2') }));
    for (const at of rollouts.keys()) specify(at, 1, {});
    stage.lead();
    await stage.pass(5000);
    const canary = (at: number, generation: number, weight: number): void =>
      specify(at, generation, {
        adapter: `v${2 * at + 1}`,
        ...steps(weight),
      });
    for (const at of rollouts.keys()) canary(at, 2, 10);
    await stage.pass(60_000);
    expect(rollouts.map((key) => status(key)?.phase)).toEqual(rollouts.map(() => 'Paused'));
    const { cluster } = stage;
    const costOf = async (happen: (second: number) => void) => {
      for (const list of [cluster.writes, cluster.events]) list.length = 0;
      for (let second = 0; second < rollouts.length; second++) {
        happen(second);
        await stage.pass(1000);
      }
      // What waits for a turn.
      await stage.pass(20_000);
      const kinds = Object.groupBy(cluster.writes, ({ of }) => of.kind);
      const writes = Object.entries(kinds).map(([kind, some]) => [kind, some.length / rollouts.length]);
      return { ...Object.fromEntries(writes), events: cluster.events.length / rollouts.length };
    };
    // It restarts, and sets the weight.
    const step = { AdapterRollout: 2, events: 2 };
    expect(await costOf((second) => canary(second, 3, 11))).toEqual(step);
    // The stream is another one, and the runtime was never away. Its token is reviewed, which is a write as well.
    const flap = (second: number): void => {
      const [key = sql] = runtimes.slice(second % runtimes.length);
      for (const connected of [false, true]) stage.fleet.report(key, { connected });
    };
    expect(await costOf(flap)).toEqual({ events: 0 });
    // It is away in one second and back in the next: each is written and told.
    const goOrCome = (second: number): void =>
      stage.fleet.report(runtimes[0] ?? sql, { connected: second % 2 === 1 });
    expect(await costOf(goOrCome)).toMatchObject({ AdapterRuntime: 1, events: 1 });
    const [reviews, renewals] = [1, 1 / 8];
    const known = step.AdapterRollout + step.events + reviews + renewals;
    expect(known + observationsPerSecond).toBeLessThanOrEqual(10);
  });

  it('decide about a thousand runtimes within milliseconds', async () => {
    const stage = new Stage();
    const adapters = new Map<ObjectKey, ReturnType<typeof anAdapterState>>();
    const rollouts = new Map<ObjectKey, ReturnType<typeof aRolloutState>>();
    for (let i = 0; i < 200; i++) {
      const adapter = anAdapter({ name: `v${i}` }, { digest: fakeDigest('1') });
      const rollout = aRollout({ name: `sql${i}` }, { adapter: `v${i}` });
      stage.cluster.apply(adapter, { finalizers: ['adaptlet.io/in-use'] });
      stage.cluster.apply(rollout);
      adapters.set(keyOf(adapter), anAdapterState(adapter.metadata.uid, fakeDigest('1'), 'Resident'));
      rollouts.set(keyOf(rollout), aRolloutState(rollout.metadata.uid));
    }
    for (let i = 0; i < 1000; i++) {
      stage.cluster.apply(aRuntimeObject(runtimeKey(`n${i}`), { zone: 'north' }, aRuntimeStatus(true)));
      stage.fleet.report(runtimeKey(`n${i}`), { adapters, rollouts });
    }
    const start = performance.now();
    stage.lead();
    await stage.pass(100, { follow: false });
    const perRun = (performance.now() - start) / stage.runs;
    const stables = [...stage.cluster.rollouts.server.values()].filter(
      ({ object }) => object?.status?.stable,
    );
    expect(stables).toHaveLength(200);
    // About one on an idle machine; work that grows with the square of the fleet takes hundreds.
    expect(perRun).toBeLessThan(50);
  });
});
