import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GroupStatus } from '../api/group-status.ts';
import { groupsSchema } from '../api/groups.ts';
import { fakeDigest } from '../api/names.fixture.ts';
import { objectKey } from '../api/names.ts';
import type { AdapterObject, RolloutObject } from '../api/objects.ts';
import type { Selector } from '../api/selector.ts';
import { anAdapter, aPolicy, aRollout, aStatus } from '../plan/manifests.fixture.ts';
import { noCopyCounts } from '../rollout/copies.ts';
import { ArmCounter } from '../rollout/judge/counts.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { decideAdapter, digestSourceOf } from './adapter/decide.ts';
import { holdersOf, placementAt, questionOf } from './adapter/observe.ts';
import type { AdapterState, RolloutState, RuntimeState } from './fleet/fleet.ts';
import { FleetStore, local, type Source } from './fleet/store.ts';
import { Policies } from './objects/policies.ts';
import { Presences } from './reconcile/presence.ts';
import { keysOf } from './reconcile/runtime-sets.ts';
import { attemptOf } from './rollout/attempt.ts';
import { type AttemptCounts, attemptCountsOf } from './rollout/attempt-counts.ts';
import { factsOf } from './rollout/facts.ts';
import { observe } from './rollout/observe.ts';
import { runtimesOf } from './rollout/runtimes.ts';
import { setAsideOf } from './rollout/set-aside.ts';
import { type ViewInput, viewOf } from './rollout/view.ts';
import { type Waits, waitsOf } from './rollout/waits.ts';
import { FakeCluster } from './testing/fake-cluster.ts';
import {
  anAdapterState,
  aRolloutState,
  aRuntimeObject,
  aRuntimeState,
  aRuntimeStatus,
  runtimeKey,
} from './testing/fake-fleet.ts';
import { eachIn, oneByOne } from './testing/one-by-one.ts';

const names = ['a', 'b', 'c', 'd', 'team-a/p', 'team-b/p'] as const;
const digests = [fakeDigest('1'), fakeDigest('2')] as const;
const uidOf = (name: string): string => `Adapter-team-a-${name}`;
const bindings = [
  { adapter: 'v1', uid: uidOf('v1'), digest: digests[0] },
  { adapter: 'v2', uid: uidOf('v2'), digest: digests[1] },
] as const;
const zone = (value: string): Selector => ({ matchLabels: { zone: value } });

const group = (name: string, more: Partial<GroupStatus>): GroupStatus => ({
  name,
  phase: 'Progressing',
  hash: '0',
  reach: 2 ** 48,
  weight: 10,
  step: 0,
  message: '',
  ...more,
});
const canary = { ...bindings[1], seed: '0123456789abcdef', attempt: 1 };
const underWay = aStatus({ stable: bindings[0], canary, weights: { stable: 90, canary: 10 } });
const rollouts: readonly RolloutObject[] = [
  aRollout({ name: 'rest' }, { adapter: 'v1' }, aStatus({ stable: bindings[0] })),
  aRollout({ name: 'first' }, { adapter: 'v2', runtimeSelector: zone('north') }),
  aRollout({ name: 'canary' }, { adapter: 'v2', maxFailures: { count: 1 } }, underWay),
  aRollout(
    { name: 'grouped' },
    {
      adapter: 'v2',
      groups: groupsSchema.parse([{ name: 'pilot', selector: zone('north') }, { name: 'all' }]),
    },
    { ...underWay, groups: [group('pilot', { selector: zone('north') }), group('all', { reach: 2 ** 47 })] },
  ),
  aRollout({ name: 'gone' }, { adapter: 'v8' }, aStatus({ stable: { ...bindings[0], adapter: 'v9' } })),
];
const adapters: readonly AdapterObject[] = [
  anAdapter(
    { name: 'v1' },
    { digest: digests[0], preload: { tier: 'Disk', runtimeSelector: zone('north') } },
  ),
  anAdapter({ name: 'v2' }, { digest: digests[1], baseModelDigests: [fakeDigest('b')] }),
];

const adapterState = fc.record({
  name: fc.constantFrom('v1', 'v2'),
  uid: fc.constantFrom('own', 'own', 'own', 'former'),
  digest: fc.constantFrom(...digests, '' as const),
  state: fc.constantFrom('Remote', 'Fetching', 'Stored', 'Compiled', 'Resident', 'Resident', 'Failed'),
  reason: fc.constantFrom('', 'STORE_FULL', 'ADAPTER_SHAPE'),
  message: fc.constantFrom('', 'one', 'other'),
  isFinal: fc.boolean(),
  storedBytes: fc.constantFrom(0, 500, 5000),
  neededBytes: fc.constantFrom(0, 500, 5000),
  rank: fc.constantFrom(0, 8, 512),
  modules: fc.constantFrom([], ['q_proj']),
});
const report = fc.record({
  name: fc.constantFrom('canary', 'canary', 'canary', ...rollouts.map(({ metadata }) => metadata.name)),
  uid: fc.constantFrom('own', 'own', 'own', 'own', 'former'),
  stableDigest: fc.constantFrom(...digests, '' as const),
  canaryDigest: fc.constantFrom(digests[1], digests[1], '' as const),
  attempt: fc.constantFrom(0, 1, 1, 1, 2),
  weight: fc.constantFrom(0, 10, 10),
  effectiveWeight: fc.constantFrom(0, 10),
  served: fc.record({ stable: fc.nat(99), canary: fc.nat(99) }),
  hold: fc.constantFrom('', '', 'Guard', 'BreakGlass'),
  mirrors: fc.boolean(),
  seq: fc.nat(3),
});
const told = fc.record({
  adapters: fc.array(adapterState, { maxLength: 2 }),
  rollouts: fc.array(report, { minLength: 1, maxLength: 3, size: 'max' }),
  gone: fc.subarray(['v1', 'v2']),
  ready: fc.boolean(),
  budgetBytes: fc.constantFrom(1000, 1000, 2000),
});
const runtime = fc.constantFrom('a', 'a', 'b', ...names);
const teller = fc.constantFrom('local', 'x', 'y');
const happening = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('open' as const),
      runtime,
      source: teller,
      seq: fc.integer({ min: 1, max: 4 }),
      model: fc.constantFrom('tiny', 'tiny', 'other'),
      build: fc.constantFrom('' as const, fakeDigest('b'), fakeDigest('c')),
      told,
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('report' as const), runtime, told }) },
  fc.record({ do: fc.constant('gone' as const), runtime, source: teller }),
  fc.record({ do: fc.constant('lost' as const), source: teller }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1000, 11_000, 31_000, 3_700_000) }),
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('object' as const),
      runtime,
      zone: fc.constantFrom('north', 'south', ''),
      spec: fc.constantFrom({}, {}, { cordoned: true }, { held: true }),
      connected: fc.boolean(),
    }),
  },
  fc.constant({ do: 'forget' as const }),
  fc.record({ do: fc.constant('delete' as const), runtime }),
  fc.record({ do: fc.constant('policy' as const), nodes: fc.constantFrom('north', 'south', '', 'none') }),
);
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;
type Told = Extract<Happening, { do: 'report' }>['told'];

const hello = {
  source: 'local',
  seq: 1,
  model: 'tiny',
  build: '',
  told: { adapters: [], rollouts: [], gone: [], ready: true, budgetBytes: 1000 },
} satisfies Omit<Extract<Happening, { do: 'open' }>, 'do' | 'runtime'>;

const adapterOf = ({ name, uid, modules, ...more }: Told['adapters'][number]): AdapterState =>
  anAdapterState(uid === 'own' ? uidOf(name) : uid, more.digest, more.state, {
    ...more,
    targetModules: [...modules],
  });
const armOf = (seq: number) => ({ ...new ArmCounter().snapshot(), latencyMs: seq });
const reportOf = ({ name, uid, hold, mirrors, seq, ...more }: Told['rollouts'][number]): RolloutState =>
  aRolloutState(uid === 'own' ? `AdapterRollout-team-a-${name}` : uid, {
    ...more,
    holds:
      hold === ''
        ? []
        : [
            {
              digest: digests[1],
              cause: hold === 'Guard' ? 'Guard' : 'BreakGlass',
              reason: 'bad',
              attempt: 1,
            },
          ],
    ...(mirrors ? { mirror: { ...noCopyCounts, percentage: 0, requests: seq } } : {}),
    counts: seq === 0 ? [] : [{ weight: 10, seq, stable: armOf(seq), canary: armOf(seq) }],
  });
const key = (name: string) => objectKey('team-a', name);

class World {
  readonly clock = new FakeClock();
  readonly cluster = new FakeCluster();
  readonly fleet = new FleetStore({ clock: this.clock });
  readonly #sources: Record<string, Source> = { local, x: { name: 'x' }, y: { name: 'y' } };
  readonly #connections = new Map<string, { readonly source: Source; readonly seq: bigint }>();
  readonly presences: Presences;
  readonly counted = new Map<string, AttemptCounts | undefined>();
  readonly waits = new Map<string, Waits | undefined>();

  constructor() {
    const { clock, cluster, fleet } = this;
    const term = { epoch: 1, since: clock.monotonic(), fence: () => 1 };
    const policies = new Policies(cluster.policies);
    this.presences = new Presences({ clock, term, objects: cluster, fleet, policies });
    for (const adapter of adapters) cluster.apply(adapter);
    for (const name of ['a', 'b', 'c'] as const) {
      this.happen({ do: 'object', runtime: name, zone: 'north', spec: {}, connected: true });
      this.happen({ do: 'open', runtime: name, ...hello });
    }
  }

  happen(what: Happening): void {
    switch (what.do) {
      case 'open':
        return this.#open(what);
      case 'report': {
        const { source, seq } = this.#connections.get(what.runtime) ?? {};
        if (source !== undefined && seq !== undefined)
          this.#tell(what.runtime, source, seq, what.told, false);
        return;
      }
      case 'gone':
        return this.fleet.gone(this.#sourceOf(what.source), runtimeKey(what.runtime));
      case 'lost':
        return this.fleet.lost(this.#sourceOf(what.source));
      case 'forget':
        return this.#forget(['local', 'x', 'y']);
      case 'pass':
        return this.clock.advance(what.ms);
      case 'object': {
        const { runtime: name, zone: value, spec, connected } = what;
        const kind = name.includes('/') ? ('Pod' as const) : ('Node' as const);
        const labels = value === '' ? {} : { zone: value };
        const status = { ...aRuntimeStatus(connected), kind };
        return void this.cluster.apply(aRuntimeObject(runtimeKey(name), labels, status, spec));
      }
      case 'delete':
        return this.cluster.remove('AdapterRuntime', runtimeKey(what.runtime));
      case 'policy': {
        const { nodes } = what;
        if (nodes === 'none') return this.cluster.remove('AdapterPolicy', key('default'));
        const chosen = nodes === '' ? { matchLabels: {} } : zone(nodes);
        return void this.cluster.apply(aPolicy('team-a', { runtimes: { nodes: chosen } }));
      }
    }
  }

  /** Everybody is away for more than an hour; that is looked at when one more goes. */
  #forget(sources: readonly string[]): void {
    for (const source of sources) this.fleet.lost(this.#sourceOf(source));
    this.clock.advance(11_000);
    this.clock.advance(3_700_000);
    this.happen({ do: 'open', runtime: 'd', ...hello, seq: 4 });
    this.happen({ do: 'gone', runtime: 'd', source: 'local' });
    this.clock.advance(11_000);
  }

  #sourceOf = (name: string): Source => this.#sources[name] ?? local;

  #open({ runtime: name, seq, told: first, ...more }: Extract<Happening, { do: 'open' }>): void {
    const from = this.#sourceOf(more.source);
    const { info } = aRuntimeState(runtimeKey(name));
    const opened = {
      info: { ...info, baseModel: more.model, baseDigest: more.build },
      connectedAt: this.clock.now(),
    };
    this.#tell(name, from, BigInt(seq), first, true, opened);
    this.#connections.set(name, { source: from, seq: BigInt(seq) });
  }

  #tell(
    name: string,
    from: Source,
    connectionSeq: bigint,
    { ready, budgetBytes, ...said }: Told,
    whole: boolean,
    opened?: Pick<RuntimeState, 'info' | 'connectedAt'>,
  ): void {
    const kind = name.includes('/') ? ('Pod' as const) : ('Node' as const);
    const about = { key: runtimeKey(name), kind, instance: `${connectionSeq / 3n}`, connectionSeq };
    // Who is known goes on.
    const resumes = from === local && opened ? this.fleet.kept(about, opened.info) : undefined;
    this.fleet.update(from, {
      ...about,
      ...(opened === undefined ? {} : { opened, ...(resumes && { resumes }) }),
      change: {
        whole: whole && resumes === undefined,
        adapters: new Map(said.adapters.map((each) => [key(each.name), adapterOf(each)])),
        gone: whole ? [] : said.gone.map(key),
        rollouts: new Map(said.rollouts.map((each) => [key(each.name), reportOf(each)])),
        goneRollouts: [],
        ready: { ok: ready, message: '' },
        memory: { budgetBytes, usedBytes: 0 },
      },
    });
  }

  /** Everything that is decided from about the rollout, with the kept counts or with a look at each runtime. */
  rollout(rollout: RolloutObject, presences: ViewInput['presences'], memory: string) {
    const nothing = { of: () => undefined };
    const said = { nameConflict: undefined, verdicts: nothing, signatures: nothing };
    const view = viewOf({ rollout, objects: this.cluster, presences, ...said });
    const attempt = attemptOf(rollout.status, false);
    const of = `${memory} ${rollout.metadata.name}`;
    const isKept = memory === 'kept';
    const before = this.counted.get(of);
    // Without what it took in last it takes in everything again.
    const counted = attemptCountsOf(
      before && (isKept ? before : { ...before, taken: new Map() }),
      view,
      attempt,
    );
    this.counted.set(of, counted);
    const at = { monotonic: this.clock.monotonic(), deadlineMs: 20_000, isFirst: false };
    const waits = waitsOf(this.waits.get(of), view, attempt, at);
    this.waits.set(of, waits);
    const overdue = new Set(
      [...(waits?.awaited ?? [])].filter((name) => (waits?.ms.get(name) ?? 0) >= 20_000),
    );
    const outliers = [{ node: runtimeKey('b'), message: 'it counts otherwise' }];
    const { desired, ...aside } = setAsideOf(view, attempt, { overdue, outliers });
    return {
      facts: { ...factsOf(view, attempt, { desired, ...aside }), whyNotBack: undefined },
      fleet: observe(view, rollout.status ?? aStatus({}), { desired, ...aside }),
      aside: { ...aside, desired: keysOf(desired) },
      runtimes: eachIn(runtimesOf(view, attempt), rollout.status?.groups ?? []),
      members: keysOf(view.members),
      away: keysOf(view.away),
      reports: Object.fromEntries(counted?.reports ?? []),
      waits: { ms: Object.fromEntries(waits?.ms ?? []), awaited: waits?.awaited },
      changesInMs: view.changesInMs,
    };
  }

  /** What each runtime answers, from whichever group. */
  answers(presences: Pick<Presences, 'groups'>) {
    const named = (object: AdapterObject | RolloutObject) => ({
      key: key(object.metadata.name),
      uid: object.metadata.uid,
    });
    const question = {
      selectors: [zone('north'), zone('south'), undefined],
      adapters: adapters.map(named),
      rollouts: rollouts.map(named),
    };
    return ['team-a', 'team-b'].map((namespace) => {
      const { groups, changesInMs } = presences.groups(namespace, question);
      const answers = groups.flatMap(({ runtimes, profile, ...more }) =>
        runtimes
          .keys()
          .map(
            (name) =>
              [name, { ...more, profile: { ...profile, isExpected: more.presence === 'Silent' } }] as const,
          ),
      );
      return { answers: Object.fromEntries(answers), count: answers.length, changesInMs };
    });
  }

  adapter(adapter: AdapterObject, presences: Pick<Presences, 'groups'>) {
    const { groups, changesInMs } = presences.groups('team-a', questionOf(adapter, rollouts));
    const source = digestSourceOf(adapter);
    const digest = adapter.spec.digest;
    const { status } = decideAdapter({
      adapter,
      source,
      resolution: undefined,
      nameConflict: undefined,
      verdict: undefined,
      signed: undefined,
      uses: [{ rollout: key('rest'), as: 'stable' }],
      holders: holdersOf(adapter, digest, rollouts, groups),
      placement: placementAt(adapter, groups),
      seen: new Map(),
      now: '2026-01-01T00:00:00.000Z',
      isNewTerm: false,
    });
    return { status, changesInMs };
  }
}

describe('counts that are kept', () => {
  it('are those of a look at each runtime, after whatever happened', () => {
    fc.assert(
      fc.property(fc.array(happening, { minLength: 1, maxLength: 30, size: 'max' }), (happenings) => {
        const world = new World();
        const each = oneByOne(world.presences);
        for (const what of happenings) {
          world.happen(what);
          expect(world.answers(world.presences)).toEqual(world.answers(each));
          for (const rollout of rollouts)
            expect(world.rollout(rollout, world.presences, 'kept')).toEqual(
              world.rollout(rollout, each, 'each'),
            );
          for (const adapter of adapters)
            expect(world.adapter(adapter, world.presences)).toEqual(world.adapter(adapter, each));
        }
        world.presences.close();
        world.fleet.close();
      }),
      { numRuns: 100 },
    );
  }, 60_000);
});
