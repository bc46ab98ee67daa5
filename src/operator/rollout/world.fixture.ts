import { fakeDigest } from '../../api/names.fixture.ts';
import { type Digest, objectKey } from '../../api/names.ts';
import type { RolloutSpec } from '../../api/rollout.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import type { RuntimeSpec } from '../../api/runtime.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Measure } from '../../measurement/source.ts';
import { anAdapter, aRollout } from '../../plan/manifests.fixture.ts';
import { assignmentOf } from '../../rollout/groups/assignment.ts';
import type { Verified } from '../../signature/verify.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { AdapterState, HeldCanary, RolloutState } from '../fleet/fleet.ts';
import type { Requeue } from '../reconcile/controller.ts';
import type { Ask } from '../reconcile/resolver.ts';
import type { SignatureQuestion } from '../reconcile/signature-verdicts.ts';
import { inUseFinalizer } from '../reconcile/uses.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import {
  anAdapterState,
  aRolloutState,
  aRuntimeObject,
  aRuntimeStatus,
  FakeFleet,
  runtimeKey,
} from '../testing/fake-fleet.ts';
import { partsOf } from '../testing/parts-of.ts';
import { RolloutController } from './controller.ts';

export const sql = objectKey('team-a', 'sql');
export const uidOf = (adapter: string): string => `Adapter-team-a-${adapter}`;
/** `v1` has the digest of ones, and so on. */
export const digestOf = (adapter: string): Digest => fakeDigest(adapter.slice(-1));
export const rolloutUid = 'AdapterRollout-team-a-sql';

/** For tests: the rollout team-a/sql, Adapters v1 to v3, runtimes that follow what is written, and a leader. */
export class RolloutWorld {
  readonly cluster = new FakeCluster();
  readonly fleet = new FakeFleet();
  readonly clock = new FakeClock();
  verify: Ask<SignatureQuestion, Verified> = async () => ({ signers: ['release'] });
  measure: Measure = () => Promise.reject(new Error('no server answers'));
  #epoch = 0;
  #leads = true;
  parts: ReturnType<typeof partsOf>;
  controller: RolloutController;
  readonly #names = new Set<string>();

  constructor(...runtimes: string[]) {
    for (const name of runtimes) this.join(name);
    [this.parts, this.controller] = this.#elect();
  }

  /** Another leader takes over. Its controller has seen nothing. */
  takeOver(): void {
    [this.parts, this.controller] = this.#elect();
  }

  #elect(): [ReturnType<typeof partsOf>, RolloutController] {
    const epoch = ++this.#epoch;
    this.#leads = true;
    const fence = () => {
      if (!this.#leads) throw new AdaptletError('NOT_LEADER', 'the lease is lost');
      return this.#epoch;
    };
    const parts = partsOf(this, { term: { epoch, fence }, verify: (...asked) => this.verify(...asked) });
    return [parts, new RolloutController({ ...parts, measure: (...asked) => this.measure(...asked) })];
  }

  loseLease(): void {
    this.#leads = false;
  }

  /** `team-a/NAME` is the runtime of a pod, `NAME` of a node. */
  join(name: string, labels: Readonly<Record<string, string>> = {}): this {
    this.#names.add(name);
    const kind = name.includes('/') ? 'Pod' : 'Node';
    this.cluster.apply(aRuntimeObject(runtimeKey(name), labels, { ...aRuntimeStatus(true), kind }));
    this.fleet.report(runtimeKey(name), { connected: true, kind });
    return this;
  }

  /** What people ask of a runtime. `since`: RFC 3339 time since when that is written down. */
  restrain(name: string, spec: RuntimeSpec, since = '2026-01-01T00:00:00.000Z'): this {
    const key = runtimeKey(name);
    const { metadata, status = aRuntimeStatus(true) } = this.cluster.runtimes.get(key)?.object ?? {};
    const asked = { Cordoned: spec.cordoned === true, Held: spec.held === true };
    const conditions = Object.entries(asked).map(([type, is]) => ({
      type,
      status: is ? ('True' as const) : ('False' as const),
      reason: 'BySpec',
      message: '',
      lastTransitionTime: since,
    }));
    const written = { ...status, conditions: [...status.conditions.slice(0, 1), ...conditions] };
    this.cluster.apply(aRuntimeObject(key, metadata?.labels, written, spec));
    return this;
  }

  leave(name: string): this {
    this.fleet.report(runtimeKey(name), { connected: false, disconnectedAt: this.clock.now() });
    return this;
  }

  adapter(name: string, { kept = true } = {}): this {
    const object = anAdapter({ name }, { digest: digestOf(name) });
    this.cluster.apply(object, { finalizers: kept ? [inUseFinalizer] : [] });
    return this;
  }

  spec(
    spec: Partial<RolloutSpec> & { readonly adapter: string },
    annotations: Readonly<Record<string, string>> = {},
  ): this {
    const before = this.cluster.rollouts.server.get(sql)?.object;
    const { metadata, ...rest } = aRollout({ name: 'sql' }, { ...before?.spec, ...spec }, before?.status);
    const generation = (before?.metadata.generation ?? 0) + 1;
    this.cluster.apply({ ...rest, metadata: { ...metadata, generation } }, { annotations, generation });
    return this;
  }

  ask(request: string): this {
    const object = this.cluster.rollouts.server.get(sql)?.object;
    if (object !== undefined) this.cluster.apply(object, { annotations: { 'adaptlet.io/request': request } });
    return this;
  }

  /** What runtimes say of an adapter; everybody unless they are named. */
  state(
    adapter: string,
    state: string,
    names: readonly string[] = [...this.#names],
    more: Partial<AdapterState> = {},
  ): this {
    for (const name of names) {
      const key = runtimeKey(name);
      const adapters = new Map(this.fleet.get(key)?.adapters);
      adapters.set(
        objectKey('team-a', adapter),
        anAdapterState(uidOf(adapter), digestOf(adapter), state, more),
      );
      this.fleet.report(key, { adapters });
    }
    return this;
  }

  /** Percent that the written status allows the canary on a runtime. */
  weightOf(name: string): number {
    const { status } = this.cluster.rollouts.server.get(sql)?.object ?? {};
    const key = runtimeKey(name);
    const labels = this.cluster.runtimes.get(key)?.object?.metadata.labels ?? {};
    return status === undefined ? 0 : assignmentOf(status, rolloutUid, { key, labels }).weight;
  }

  /** Runtimes follow the status that is written now, as the plan has it. */
  sync(names: readonly string[] = [...this.#names], more: Partial<RolloutState> = {}): this {
    for (const name of names) {
      const key = runtimeKey(name);
      const { stable, canary } = this.cluster.rollouts.server.get(sql)?.object?.status ?? {};
      const weight = this.weightOf(name);
      const before = this.fleet.get(key)?.rollouts.get(sql);
      const isNew = before?.canaryDigest !== canary?.digest || before?.weight !== weight;
      const holds = (before?.holds ?? []).filter(
        (hold) => canary === undefined || (hold.digest === canary.digest && hold.attempt >= canary.attempt),
      );
      const report = aRolloutState(rolloutUid, {
        stableDigest: stable?.digest ?? '',
        canaryDigest: canary?.digest ?? '',
        attempt: canary?.attempt ?? 0,
        weight,
        effectiveWeight: weight,
        served: isNew ? { stable: 0, canary: 0 } : (before?.served ?? { stable: 0, canary: 0 }),
        holds,
        ...more,
      });
      this.fleet.report(key, { rollouts: new Map([[sql, report]]) });
    }
    return this;
  }

  hold(name: string, cause: HeldCanary['cause'], reason = '5 consecutive errors'): this {
    const report = this.fleet.get(runtimeKey(name))?.rollouts.get(sql);
    if (report === undefined || report.canaryDigest === '') return this;
    const hold = { digest: report.canaryDigest, cause, reason, attempt: report.attempt };
    return this.sync([name], { ...report, effectiveWeight: 0, holds: [...report.holds, hold] });
  }

  served(name: string, stable: number, canary: number): this {
    const report = this.fleet.get(runtimeKey(name))?.rollouts.get(sql);
    return this.sync([name], { ...report, served: { stable, canary } });
  }

  run(): Promise<Requeue> {
    return this.controller.reconcile(sql, new AbortController().signal);
  }

  /** Runs until nothing is written any more, while the runtimes follow. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) {
      const before = this.cluster.writes.length;
      await this.run();
      this.sync();
      await this.run();
      if (this.cluster.writes.length === before) return;
    }
  }

  get status(): RolloutStatus {
    const status = this.cluster.rollouts.server.get(sql)?.object?.status;
    if (status === undefined) throw new Error('there is no status yet');
    return status;
  }

  get reasons(): string[] {
    return this.cluster.events.map(({ reason }) => reason);
  }

  advance(ms: number): this {
    this.clock.advance(ms);
    return this;
  }
}

/** Steps with a weight and a pause that a person ends. */
export const steps = (...weights: readonly number[]): Partial<RolloutSpec> => ({
  strategy: {
    canary: { steps: weights.flatMap((setWeight) => [{ setWeight }, { pause: {} }]), hashOn: 'User' },
  },
});

/** For tests: v1 is stable on every runtime, v2 is the canary at 10 % and waits for a person. */
export const underWay = async (...runtimes: string[]): Promise<RolloutWorld> => {
  const world = new RolloutWorld(...runtimes).adapter('v1').adapter('v2').adapter('v3');
  world.spec({ adapter: 'v1', ...steps(10, 50) }).state('v1', 'Resident');
  await world.settle();
  world.spec({ adapter: 'v2' }).state('v2', 'Resident');
  await world.settle();
  return world;
};
