import { analysisStepSchema } from '../../src/api/analysis.ts';
import type { Step } from '../../src/api/rollout.ts';
import { condition, DecisionWorld, reasons } from '../../src/rollout/world.fixture.ts';

/** A rollout as people see it: the phase, and the reason of its condition Progressing. */
export type State = { readonly phase: string; readonly reason: string };

/** `to`: every state that the event leads to, from any situation that looks the same. */
export type Transition = { readonly from: State; readonly event: string; readonly to: readonly State[] };

const { metrics } = analysisStepSchema.parse({
  metrics: [
    {
      name: 'p99',
      source: { prometheus: { address: 'https://metrics.example', query: 'p99' } },
      judge: { threshold: { success: { atMost: 0.5 }, failure: { atLeast: 1 } } },
      count: 1,
    },
  ],
});
/** Each is explored by itself: together they would be several times as many situations. */
const strategies: readonly (readonly Step[])[] = [
  [{ setWeight: 10 }, { pause: { duration: '1m' } }, { pause: {} }],
  [{ setWeight: 10 }, { analysis: { metrics } }],
];
/** What comes after it is what comes after the first steps: it is not followed further. */
const edited = 'the steps are edited';

/** Something that may happen to a rollout; false where it cannot. */
type Event = (world: DecisionWorld) => boolean;

const reasonOf = ({ status }: DecisionWorld): string | undefined =>
  status === undefined ? undefined : condition(status, 'Progressing')?.reason;
const named = (world: DecisionWorld) => world.adapters.get(world.spec.adapter);
const becomes =
  (
    change: Parameters<DecisionWorld['adapter']>[1],
    when: (fact: NonNullable<ReturnType<typeof named>>) => boolean,
  ): Event =>
  (world) => {
    const fact = named(world);
    if (fact === undefined || !when(fact)) return false;
    world.adapter(world.spec.adapter, change).decide();
    return true;
  };
const asks =
  (verb: string): Event =>
  (world) =>
    !reasons(world.decide({ verb })).includes('RequestRefused');
const passes =
  (ms: number, ...whileItIs: readonly string[]): Event =>
  (world) => {
    if (!whileItIs.includes(reasonOf(world) ?? '')) return false;
    world.decide({ elapsedMs: ms });
    return true;
  };
/** The server of the metric answers, once. */
const measures =
  (value: number): Event =>
  (world) => {
    if (reasonOf(world) !== 'Analysing') return false;
    world.measured = () => ({ value });
    world.decide();
    world.measured = undefined;
    return true;
  };
const points =
  (to: (world: DecisionWorld) => string | undefined): Event =>
  (world) => {
    const adapter = to(world);
    if (adapter === undefined || adapter === world.spec.adapter) return false;
    world.edit({ adapter }).decide();
    return true;
  };
const digests: Readonly<Record<string, NonNullable<ReturnType<typeof named>>['digest']>> = Object.fromEntries(
  ['v1', 'v2'].map((name) => [name, new DecisionWorld([]).adapter(name).adapters.get(name)?.digest]),
);

const events: Readonly<Record<string, Event>> = {
  'the Adapter is created': (world) => {
    if (named(world) !== undefined) return false;
    world.adapter(world.spec.adapter, { state: 'Pending', digest: undefined }).decide();
    return true;
  },
  'its digest is known': (world) => {
    const digest = digests[world.spec.adapter];
    return becomes({ digest }, (fact) => fact.digest === undefined)(world);
  },
  'it is Resident': becomes(
    { state: 'Resident' },
    ({ state, digest }) => state !== 'Resident' && digest !== undefined,
  ),
  'it is not Resident any more': becomes({ state: 'Pending' }, ({ state }) => state === 'Resident'),
  'it is refused': becomes(
    { state: 'Failed' },
    ({ state, digest }) => state === 'Pending' && digest !== undefined,
  ),
  'it is removed': (world) => {
    if (!world.adapters.delete(world.spec.adapter)) return false;
    world.decide();
    return true;
  },
  'the spec names another Adapter': points(({ status, spec }) => {
    const other = spec.adapter === 'v1' ? 'v2' : 'v1';
    return other === status?.stable?.adapter ? undefined : other;
  }),
  'the spec names stable again': points(({ status }) => status?.stable?.adapter),
  [edited]: (world) => {
    world.edit({ steps: [...(world.spec.strategy.canary?.steps ?? []), { setWeight: 50 }] }).decide();
    return true;
  },
  'spec.paused is set': (world) => {
    if (world.spec.paused) return false;
    world.edit({ paused: true }).decide();
    return true;
  },
  'spec.paused is taken back': (world) => {
    if (!world.spec.paused) return false;
    world.edit({ paused: false }).decide();
    return true;
  },
  'the pause is over': passes(60_000, 'StepPaused'),
  'the analysis succeeds': measures(0),
  'the analysis cannot tell': measures(0.75),
  'the analysis fails': measures(1),
  'the progress deadline passes': passes(600_000, 'AwaitingAdapter', 'AwaitingDigest', 'AwaitingResident'),
  'a guard trips': (world) => {
    const { canary, abort } = world.status ?? {};
    if (canary === undefined || abort !== undefined) return false;
    world.hold(canary.adapter).decide();
    return true;
  },
  promote: asks('promote'),
  'promote --full': asks('promote-full'),
  abort: asks('abort'),
  rollback: asks('rollback'),
  retry: asks('retry'),
};

export const eventNames: readonly string[] = Object.keys(events);

type StateName = `${string} ${string}`;
const nameOf = (world: DecisionWorld): StateName => `${world.status?.phase} ${reasonOf(world)}`;
const stateOf = (name: StateName): State => {
  const [phase = '', reason = ''] = name.split(' ');
  return { phase, reason };
};

/** What makes two situations the same for everything that comes after. */
const situationOf = ({ adapters, held, spec, status }: DecisionWorld): string => {
  const { canary, stable, history, step, progress, abort, weights, analysis } = status ?? {};
  const isHeld = held.some((h) => h.digest === canary?.digest && h.attempt >= (canary?.attempt ?? 0));
  return JSON.stringify([
    [...adapters].map(([name, { state, digest }]) => `${name} ${state} ${digest}`).toSorted(),
    [spec.adapter, spec.paused, spec.strategy.canary?.steps.map((one) => Object.keys(one))],
    [stable, canary?.adapter, isHeld, history?.map(({ adapter }) => adapter), abort !== undefined],
    [step?.index, step?.hash, step?.elapsedMs, step?.promoted, step?.full, weights?.canary],
    [progress?.reason, progress?.waitedMs],
    analysis?.map(({ phase }) => phase),
  ]);
};

/** Situations that are looked at; reached far before. */
const most = 50_000;

/**
 * Every transition of the state machine between the states that people see: all events are tried in every situation that
 * two Adapters can get into, with pauses or with an analysis, with the real `decide`.
 */
export const exploreTransitions = (): readonly Transition[] => {
  const queue = strategies.map((steps) => new DecisionWorld(steps));
  for (const start of queue) start.decide();
  const seen = new Set(queue.map(situationOf));
  const found = new Map<StateName, Map<string, Set<StateName>>>();
  for (let world = queue.pop(); world !== undefined; world = queue.pop()) {
    const from = nameOf(world);
    const known = found.get(from) ?? new Map<string, Set<StateName>>();
    found.set(from, known);
    for (const [name, event] of Object.entries(events)) {
      const next = world.clone();
      if (!event(next)) continue;
      known.set(name, (known.get(name) ?? new Set()).add(nameOf(next)));
      const situation = situationOf(next);
      if (name === edited || seen.has(situation)) continue;
      if (seen.size >= most) throw new Error(`there are more than ${most} situations: take something away`);
      seen.add(situation);
      queue.push(next);
    }
  }
  return [...found].flatMap(([from, byEvent]) =>
    [...byEvent].map(([event, to]) => ({ from: stateOf(from), event, to: [...to].map(stateOf) })),
  );
};
