import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AdapterSpec } from '../api/adapter.ts';
import { conditionOf } from '../api/condition.ts';
import { fakeDigest } from '../api/names.fixture.ts';
import { type ObjectKey, objectKey } from '../api/names.ts';
import type { RolloutSpec } from '../api/rollout.ts';
import type { Selector } from '../api/selector.ts';
import { anAdapter, aPolicy, aRollout } from '../plan/manifests.fixture.ts';
import { assignmentOf } from '../rollout/groups/assignment.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { AdapterController } from './adapter/controller.ts';
import { type Controller, graceMs } from './reconcile/controller.ts';
import { RolloutController } from './rollout/controller.ts';
import { digestOf, steps, uidOf } from './rollout/world.fixture.ts';
import { FakeCluster } from './testing/fake-cluster.ts';
import {
  anAdapterState,
  aRolloutState,
  aRuntimeObject,
  aRuntimeState,
  aRuntimeStatus,
  runtimeKey,
} from './testing/fake-fleet.ts';
import { partsOf } from './testing/parts-of.ts';
import { Processes } from './testing/processes.ts';

const zone = (value: string): Selector => ({ matchLabels: { zone: value } });
const team = (name: string): ObjectKey => objectKey('team-a', name);
/** Some for one zone, one for another model, one for a zone that no runtime is in at first. */
const rollouts = {
  everywhere: {},
  north: { runtimeSelector: zone('north') },
  south: { runtimeSelector: zone('south') },
  other: {},
  nowhere: { runtimeSelector: zone('west') },
} satisfies Record<string, Partial<RolloutSpec>>;
const rolloutNames = ['everywhere', 'north', 'south', 'other', 'nowhere'] as const;
const adapters = {
  v1: {},
  v2: { preload: { tier: 'Disk', runtimeSelector: zone('north') } },
  v3: { baseModel: 'other', preload: { tier: 'None', runtimeSelector: zone('west') } },
  v4: { baseModelDigests: [fakeDigest('b')], preload: { tier: 'Disk', runtimeSelector: zone('south') } },
  v5: { preload: { tier: 'Memory', runtimeSelector: zone('west') } },
} satisfies Record<string, Partial<AdapterSpec>>;
const adapterNames = ['v1', 'v2', 'v3', 'v4', 'v5'] as const;

const runtime = fc.constantFrom('a', 'b', 'c', 'team-a/p', 'team-b/p');
const where = fc.constantFrom('north', 'north', 'south', 'west', '');
const said = {
  adapter: fc.constantFrom(...adapterNames),
  state: fc.constantFrom('Fetching', 'Stored', 'Resident', 'Resident', 'Failed', 'gone'),
  sizes: fc.constantFrom(
    {},
    {},
    { neededBytes: 500 },
    { neededBytes: 2000 },
    { storedBytes: 2000 },
    { rank: 512 },
  ),
};
const happening = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      runtime,
      model: fc.constantFrom('tiny', 'tiny', 'other'),
      build: fc.constantFrom('' as const, fakeDigest('b'), fakeDigest('c')),
      budget: fc.constantFrom(1000, 1000, 9000),
      replaces: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('leave' as const), runtime }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('object' as const),
      runtime,
      zone: where,
      spec: fc.constantFrom({}, {}, { cordoned: true }, { held: true }),
    }),
  },
  fc.record({ do: fc.constant('delete' as const), runtime }),
  // The next stream of the process that is there; in the place of the one that it has, or with what it did without one.
  fc.record({ do: fc.constant('dial' as const), runtime }),
  { weight: 3, arbitrary: fc.record({ do: fc.constant('blink' as const), runtime, ...said }) },
  fc.record({ do: fc.constant('ready' as const), runtime, ready: fc.boolean() }),
  // Who is away for so long is forgotten when another one is shown as away.
  fc.constant({ do: 'hour' as const }),
  { weight: 3, arbitrary: fc.record({ do: fc.constant('say' as const), runtime, ...said }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('follow' as const), runtime }) },
  fc.record({
    do: fc.constant('spec' as const),
    rollout: fc.constantFrom(...rolloutNames),
    adapter: fc.constantFrom(...adapterNames),
  }),
  fc.record({ do: fc.constant('policy' as const), nodes: fc.constantFrom('north', 'south', '') }),
  { weight: 4, arbitrary: fc.constant({ do: 'work' as const }) },
);
const leftOfGrace = fc.constantFrom(0, 20_000);
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;
type Saying = Extract<Happening, { do: 'say' | 'blink' }>;

/** Rollouts, Adapters and runtimes, and controllers that look only at what they want to look at. */
class World {
  readonly cluster = new FakeCluster();
  readonly clock = new FakeClock();
  readonly processes = new Processes(this.clock);
  readonly fleet = this.processes.store;
  readonly #controllers: Readonly<Record<'rollouts' | 'adapters', Controller>>;
  /** When what is wanted is due, in monotonic milliseconds. */
  readonly #due = new Map<string, number>();
  readonly #generations = new Map<string, number>();

  /** `graceLeft`: milliseconds in which runtimes of the term before may still come back. */
  constructor(graceLeft: number) {
    const { cluster, clock } = this;
    const parts = partsOf(this, { term: { since: clock.monotonic() + graceLeft - graceMs } });
    this.#controllers = {
      rollouts: new RolloutController({ ...parts, measure: async () => 0 }),
      adapters: new AdapterController({ ...parts, isTerminating: async () => false }),
    };
    for (const name of adapterNames)
      cluster.apply(anAdapter({ name }, { digest: digestOf(name), ...adapters[name] }));
    for (const name of rolloutNames) this.#spec(name, name === 'other' ? 'v3' : 'v1');
    for (const [kind, controller] of Object.entries(this.#controllers))
      controller.follow((key, afterMs) => this.#want(`${kind} ${key}`, afterMs));
  }

  async happen(what: Happening): Promise<void> {
    switch (what.do) {
      case 'join': {
        const { model: baseModel, build: baseDigest, budget: budgetBytes } = what;
        const key = runtimeKey(what.runtime);
        // Another process, whose predecessor may have its stream still.
        if (this.processes.isConnected(key) && !what.replaces) return;
        if (this.cluster.runtimes.get(key) === undefined) this.#object(what.runtime, '', {});
        const info = { ...aRuntimeState(key).info, baseModel, baseDigest };
        const memory = { budgetBytes, usedBytes: 0 };
        const disk = { budgetBytes: 1000, usedBytes: 0 };
        return this.processes.start(key, { kind: kindOf(what.runtime), info, memory, disk });
      }
      case 'dial':
        return this.processes.dial(runtimeKey(what.runtime));
      case 'leave':
        return this.processes.cut(runtimeKey(what.runtime));
      case 'hour':
        return this.clock.advance(3_600_000);
      case 'ready':
        return this.processes.say(runtimeKey(what.runtime), { ready: what.ready });
      case 'object':
        return this.#object(what.runtime, what.zone, what.spec);
      case 'delete':
        return this.cluster.remove('AdapterRuntime', runtimeKey(what.runtime));
      case 'say':
        return this.#say(what);
      case 'blink':
        this.processes.cut(runtimeKey(what.runtime));
        this.#say(what);
        return this.processes.dial(runtimeKey(what.runtime));
      case 'follow':
        return this.#follow(runtimeKey(what.runtime));
      case 'spec':
        return this.#spec(what.rollout, what.adapter);
      case 'policy': {
        const runtimes = what.nodes === '' ? {} : { runtimes: { nodes: zone(what.nodes) } };
        return void this.cluster.apply(aPolicy('team-a', runtimes));
      }
      case 'work':
        return this.work(10);
    }
  }

  async work(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      this.clock.advance(1000);
      const now = this.clock.monotonic();
      const due = [...this.#due].filter(([, at]) => at <= now);
      for (const [what] of due) await this.#look(what);
    }
  }

  async lookAtAll(): Promise<void> {
    for (const name of adapterNames) await this.#look(`adapters ${team(name)}`);
    for (const name of rolloutNames) await this.#look(`rollouts ${team(name)}`);
  }

  /** What is written, but for how long rollouts wait already. Of an Adapter that nobody wants only who has it is never late. */
  statuses(): unknown {
    const ofRollouts = [...this.cluster.rollouts.server.values()].map(({ key, object }) => {
      const { progress: _, ...status } = { progress: undefined, ...object?.status };
      return [key, status];
    });
    const ofAdapters = [...this.cluster.adapters.server.values()].map(({ key, object }) => {
      const isUsed = conditionOf(object?.status?.conditions, 'InUse')?.status === 'True';
      const isWanted = isUsed || object?.spec.preload.tier !== 'None';
      return [key, isWanted ? object?.status : object.status?.runtimes];
    });
    return [...ofRollouts, ...ofAdapters];
  }

  #want(what: string, afterMs: number): void {
    const at = this.clock.monotonic() + afterMs;
    this.#due.set(what, Math.min(at, this.#due.get(what) ?? Infinity));
  }

  async #look(what: string): Promise<void> {
    this.#due.delete(what);
    const [kind, key] = what.split(' ') as ['rollouts' | 'adapters', ObjectKey];
    const { signal } = new AbortController();
    const { requeueAfterMs } = await this.#controllers[kind].reconcile(key, signal);
    if (requeueAfterMs !== undefined) this.#want(what, requeueAfterMs);
  }

  #object(name: string, zoneOf: string, spec: Parameters<typeof aRuntimeObject>[3]): void {
    const labels = zoneOf === '' ? {} : { zone: zoneOf };
    this.cluster.apply(
      aRuntimeObject(runtimeKey(name), labels, { ...aRuntimeStatus(true), kind: kindOf(name) }, spec),
    );
  }

  #say({ runtime: name, adapter, state, sizes }: Saying): void {
    const key = runtimeKey(name);
    const all = new Map(this.processes.of(key)?.adapters);
    const more = { reason: 'ADAPTER_SHAPE', ...sizes };
    if (state === 'gone') all.delete(team(adapter));
    else all.set(team(adapter), anAdapterState(uidOf(adapter), digestOf(adapter), state, more));
    this.processes.say(key, { adapters: all });
  }

  /** It follows each rollout as its status is now. */
  #follow(key: ObjectKey): void {
    const labels = this.cluster.runtimes.get(key)?.object?.metadata.labels ?? {};
    const reports = rolloutNames.flatMap((name) => {
      const { status, metadata } = this.cluster.rollouts.server.get(team(name))?.object ?? {};
      if (status === undefined || metadata === undefined) return [];
      const { weight } = assignmentOf(status, metadata.uid, { key, labels });
      const report = aRolloutState(metadata.uid, {
        stableDigest: status.stable?.digest ?? '',
        canaryDigest: status.canary?.digest ?? '',
        attempt: status.canary?.attempt ?? 0,
        weight,
        effectiveWeight: weight,
      });
      return [[team(name), report] as const];
    });
    this.processes.say(key, { rollouts: new Map(reports) });
  }

  #spec(name: (typeof rolloutNames)[number], adapter: string): void {
    const generation = (this.#generations.get(name) ?? 0) + 1;
    this.#generations.set(name, generation);
    const status = this.cluster.rollouts.server.get(team(name))?.object?.status;
    const spec = { adapter, ...steps(10, 50), ...rollouts[name] };
    const { metadata, ...rest } = aRollout({ name }, spec, status);
    this.cluster.apply({ ...rest, metadata: { ...metadata, generation } }, { generation });
  }
}

const kindOf = (name: string) => (name.includes('/') ? ('Pod' as const) : ('Node' as const));

const joined = (
  name: 'a' | 'b' | 'c',
  zoneOf: 'north' | 'south' | 'west',
  budget: 1000 | 9000,
): Happening[] => [
  { do: 'object', runtime: name, zone: zoneOf, spec: {} },
  { do: 'join', runtime: name, model: 'tiny', build: '', budget, replaces: false },
];
/** Only the one in the south says how large the adapter is: too large for the north, not for the west, where it is preloaded. */
const tooLargeForNorth: Happening[] = [
  ...joined('a', 'north', 1000),
  ...joined('b', 'south', 9000),
  ...joined('c', 'west', 9000),
  { do: 'spec', rollout: 'north', adapter: 'v5' },
  { do: 'say', runtime: 'b', adapter: 'v5', state: 'Fetching', sizes: { neededBytes: 2000 } },
];
const deleted: Happening = { do: 'delete', runtime: 'b' };

it('rollouts and Adapters are as a look at all of them would write them, wherever runtimes came, went and moved', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(happening, { maxLength: 40, size: 'max' }),
      leftOfGrace,
      async (happenings, left) => {
        const world = new World(left);
        for (const what of happenings) await world.happen(what);
        // Who is away is shown as that after ten seconds, and what is only observed is written within ten more.
        await world.work(25 + left / 1000);
        const statuses = world.statuses();
        await world.lookAtAll();
        await world.work(15);
        expect(world.statuses()).toEqual(statuses);
      },
    ),
    {
      numRuns: 100,
      examples: [
        [
          [
            { do: 'object', runtime: 'team-a/p', zone: 'north', spec: {} },
            { do: 'join', runtime: 'a', model: 'tiny', build: '', budget: 1000, replaces: false },
            { do: 'policy', nodes: 'south' },
            { do: 'work' },
            { do: 'object', runtime: 'a', zone: 'south', spec: {} },
          ],
          0,
        ],
        // One for another zone said how large the adapter is.
        [[...tooLargeForNorth, { do: 'work' }, deleted], 0],
        [
          [
            ...tooLargeForNorth,
            deleted,
            { do: 'work' },
            { do: 'object', runtime: 'b', zone: 'south', spec: {} },
          ],
          0,
        ],
        // What is written of one that is forgotten says another base model.
        [
          [
            { do: 'join', runtime: 'b', model: 'other', build: '', budget: 1000, replaces: false },
            { do: 'leave', runtime: 'b' },
            { do: 'work' },
            { do: 'hour' },
            ...joined('a', 'north', 1000),
            { do: 'leave', runtime: 'a' },
          ],
          0,
        ],
        // One that comes when the rollout is late already is not ready in time.
        [
          [
            ...joined('a', 'north', 1000),
            { do: 'work' },
            { do: 'hour' },
            ...joined('b', 'north', 1000),
            { do: 'work' },
            { do: 'hour' },
          ],
          0,
        ],
        // One that nobody wants is on a runtime that the namespace does not see any more.
        [
          [
            ...joined('a', 'north', 1000),
            { do: 'say', runtime: 'a', adapter: 'v1', state: 'Stored', sizes: {} },
            ...(['everywhere', 'north', 'south', 'nowhere'] as const).map(
              (rollout) => ({ do: 'spec', rollout, adapter: 'v2' }) as const,
            ),
            { do: 'policy', nodes: 'north' },
            { do: 'work' },
            { do: 'object', runtime: 'a', zone: 'south', spec: {} },
          ],
          0,
        ],
        [
          [
            ...tooLargeForNorth,
            { do: 'leave', runtime: 'b' },
            { do: 'work' },
            { do: 'hour' },
            ...joined('a', 'north', 1000),
            { do: 'leave', runtime: 'a' },
          ],
          0,
        ],
      ],
    },
  );
});
