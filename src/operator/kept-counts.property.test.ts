import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { objectKey } from '../api/names.ts';
import type { AdapterObject, RolloutObject } from '../api/objects.ts';
import type { RuntimeObjectStatus } from '../api/runtime.ts';
import { noRevision } from '../control/revision.ts';
import { aPolicy, aStatus } from '../plan/manifests.fixture.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { decideAdapter, digestSourceOf } from './adapter/decide.ts';
import { holdersOf, placementAt, questionOf } from './adapter/observe.ts';
import type { RuntimeState } from './fleet/fleet.ts';
import { FleetStore, local, type Source } from './fleet/store.ts';
import {
  adapterOf,
  adapters,
  digests,
  type Happening,
  happening,
  hello,
  reportOf,
  rollouts,
  route,
  type Told,
  zone,
} from './kept-counts.fixture.ts';
import { Policies } from './objects/policies.ts';
import { nodeCordoned } from './objects/restraint.ts';
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
import { aRuntimeObject, aRuntimeState, aRuntimeStatus, runtimeKey } from './testing/fake-fleet.ts';
import { eachIn, oneByOne } from './testing/one-by-one.ts';

const key = (name: string) => objectKey('team-a', name);

const statusOf = ({
  connected,
  goneAt,
  restrained,
  restrainedAt,
}: Omit<Extract<Happening, { do: 'object' }>, 'do' | 'runtime' | 'zone' | 'spec'>): RuntimeObjectStatus => {
  const status = aRuntimeStatus(connected);
  const condition = { type: restrained, status: 'True', reason: nodeCordoned, message: '' } as const;
  return {
    ...status,
    ...(connected || goneAt === '' ? {} : { disconnectedAt: goneAt }),
    conditions: [
      ...status.conditions,
      ...(restrained === '' ? [] : [{ ...condition, lastTransitionTime: restrainedAt }]),
    ],
  };
};

class World {
  readonly clock = new FakeClock();
  readonly cluster = new FakeCluster();
  readonly fleet = new FleetStore({ clock: this.clock });
  readonly #sources: Record<string, Source> = { local, x: { name: 'x' }, y: { name: 'y' } };
  readonly #connections = new Map<string, { readonly source: Source; readonly seq: bigint }>();
  readonly parts: ConstructorParameters<typeof Presences>[0];
  readonly presences: Presences;
  readonly counted = new Map<string, AttemptCounts | undefined>();
  readonly waits = new Map<string, Waits | undefined>();

  constructor() {
    const { clock, cluster, fleet } = this;
    const term = { epoch: 1, since: clock.monotonic(), fence: () => 1 };
    const policies = new Policies(cluster.policies);
    this.parts = { clock, term, objects: cluster, fleet, policies };
    this.presences = new Presences(this.parts);
    for (const adapter of adapters) cluster.apply(adapter);
    for (const name of ['a', 'b', 'c'] as const) {
      const written = { connected: true, goneAt: '', restrained: '', restrainedAt: '' } as const;
      this.happen({ do: 'object', runtime: name, zone: 'north', spec: {}, ...written });
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
        const { runtime: name, zone: value, spec } = what;
        const kind = name.includes('/') ? ('Pod' as const) : ('Node' as const);
        const labels = value === '' ? {} : { zone: value };
        const status = { ...statusOf(what), kind };
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
    { ready, budgetBytes, routes, ...said }: Told,
    whole: boolean,
    opened?: Pick<RuntimeState, 'info' | 'connectedAt'>,
  ): void {
    const kind = name.includes('/') ? ('Pod' as const) : ('Node' as const);
    const about = { key: runtimeKey(name), kind, instance: `${connectionSeq / 3n}`, connectionSeq };
    // Who is known goes on.
    const { acknowledged, refusal, classifier } = routes;
    const classified = { name: 'intent', digest: digests[0], state: classifier, message: '' };
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
        ...(classifier === ''
          ? {}
          : { classifiers: new Map([[route, classifier === 'none' ? [] : [classified]]]) }),
      },
      acknowledged: { ...noRevision, routes: acknowledged },
      refused: new Map(refusal === '' ? [] : [[`Route ${route}`, refusal]]),
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
      route: { key: route, since: 2n },
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

  adapter(adapter: AdapterObject, presences: Pick<Presences, 'groups' | 'parted'>) {
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
      holders: holdersOf(adapter, digest, rollouts, groups, presences),
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
        const each = oneByOne(world.parts);
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
        // Those of a new leader, over all that is there.
        const parts = { ...world.parts, term: { ...world.parts.term, since: world.clock.monotonic() } };
        const [anew, eachAnew] = [new Presences(parts), oneByOne(parts)];
        expect(world.answers(anew)).toEqual(world.answers(eachAnew));
        for (const rollout of rollouts)
          expect(world.rollout(rollout, anew, 'anew')).toEqual(world.rollout(rollout, eachAnew, 'each anew'));
        for (const adapter of adapters)
          expect(world.adapter(adapter, anew)).toEqual(world.adapter(adapter, eachAnew));
        anew.close();
        world.presences.close();
        world.fleet.close();
      }),
      { numRuns: 100 },
    );
  });
});
