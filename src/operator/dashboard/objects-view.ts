import { conditionOf } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import { adapterRow, adaptersView } from '../../dashboard/adapters.ts';
import { fleetView, runtimesPage } from '../../dashboard/fleet.ts';
import type { RolloutHistory } from '../../dashboard/history.ts';
import { pageOfRollouts, rolloutView, timeOf } from '../../dashboard/rollouts.ts';
import type { Timeline } from '../../dashboard/timeline.ts';
import type { RuntimeRow, ViewScope, Views, Waiting } from '../../dashboard/views.ts';
import { waitingOf, waitingPage } from '../../dashboard/waiting.ts';
import type { Clock } from '../../time/clock.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Collection, Objects, Read, RuntimeObject } from '../objects/objects.ts';
import { restrainedSinceOf, restraintOf } from '../objects/restraint.ts';

export type SeenObjects = Pick<Objects, 'adapters' | 'rollouts' | 'runtimes'>;

export type ObjectViewParts = {
  readonly version: string;
  readonly replica: string;
  readonly objects: SeenObjects;
  readonly fleet: Fleet;
  /** For how many milliseconds each runtime of which that is known has lacked something of its plan. */
  readonly planAges: () => Iterable<readonly [ObjectKey, number]>;
  readonly history: RolloutHistory;
  readonly timeline: Timeline;
  /** Wall time since when both remember. */
  readonly since: number;
  readonly clock: Clock;
};

/** Milliseconds for which the rows of all runtimes are used: several people look at the same moment. */
const freshMs = 1_000;

const isIn = (scope: ViewScope, key: string): boolean => scope === undefined || key.startsWith(`${scope}/`);

const readable = <T>(collection: Collection<T>, scope: ViewScope): T[] =>
  [...collection.list()].flatMap(({ key, object }) =>
    object !== undefined && isIn(scope, key) ? [object] : [],
  );

/** Views of all that this replica sees. */
export const objectViews = (parts: ObjectViewParts): Views => {
  const { objects, history, timeline, since, clock } = parts;
  let rows: { readonly at: number; readonly all: readonly RuntimeRow[] } | undefined;
  const rowsOf = (scope: ViewScope): readonly RuntimeRow[] => {
    const now = clock.monotonic();
    if (rows === undefined || now - rows.at >= freshMs) {
      const ages = new Map(parts.planAges());
      const all = [...objects.runtimes.list()].map((read) =>
        runtimeRow(read, parts.fleet, ages.get(read.key)),
      );
      rows = { at: now, all };
    }
    return scope === undefined ? rows.all : rows.all.filter(({ key }) => isIn(scope, key));
  };
  return {
    about: () => ({ version: parts.version, shownBy: parts.replica, kind: 'Operator', since }),
    fleet: (scope, by) => fleetView(rowsOf(scope), by),
    runtimes: (scope, query) => runtimesPage(rowsOf(scope), query),
    rollouts: (scope, limit) => pageOfRollouts(readable(objects.rollouts, scope).map(rolloutView), limit),
    adapters: (scope, limit) => adaptersView(readable(objects.adapters, scope).map(adapterRow), limit),
    waiting: (scope, kinds, limit) => {
      const of = (kind: Waiting['kind'], collection: Collection<Statused>): Waiting[] =>
        [...collection.list()].flatMap((read) =>
          isIn(scope, read.key)
            ? [...unreadable(kind, read), ...waitingOf(kind, read.key, read.object?.status?.conditions)]
            : [],
        );
      return waitingPage(
        [
          ...(kinds.has('adapterrollouts') ? of('AdapterRollout', objects.rollouts) : []),
          ...(kinds.has('adapters') ? of('Adapter', objects.adapters) : []),
          ...(kinds.has('adapterruntimes') ? of('AdapterRuntime', objects.runtimes) : []),
        ],
        limit,
      );
    },
    history: (key) => {
      const rollout = objects.rollouts.get(key as ObjectKey)?.object;
      return rollout && { since, rollout: rolloutView(rollout), samples: history.of(key) };
    },
    timeline: (key) => {
      const runtime = rowsOf(undefined).find((row) => row.key === key);
      return runtime && { since, runtime, happenings: timeline.of(key) };
    },
  };
};

type Statused = {
  readonly status?: { readonly conditions: NonNullable<RuntimeObject['status']>['conditions'] };
};

const unreadable = (kind: Waiting['kind'], { key, object, problems }: Read<unknown>): Waiting[] =>
  object !== undefined
    ? []
    : [{ kind, key, reason: 'InvalidSpec', message: problems.map(({ reason }) => reason).join('; ') }];

/** A runtime by what is written of it, and by what it reports where that is newer. */
const runtimeRow = (
  { key, metadata, object }: Read<RuntimeObject>,
  fleet: Fleet,
  planAgeMs: number | undefined,
): RuntimeRow => {
  const reported = fleet.get(key);
  const { status } = object ?? {};
  const row = {
    key,
    node: reported?.info.node ?? status?.node ?? '',
    baseModel: reported?.info.baseModel ?? status?.baseModel.name ?? '',
    version: reported?.info.version ?? status?.version ?? '',
    labels: metadata.labels ?? {},
    ...(planAgeMs === undefined ? {} : { planAgeMs }),
  };
  return { ...row, ...stateOf(object, reported) };
};

type Standing = Pick<RuntimeRow, 'state' | 'since' | 'message'>;

const stateOf = (object: RuntimeObject | undefined, reported: ReturnType<Fleet['get']>): Standing => {
  const conditions = object?.status?.conditions;
  const said = (type: string): string => conditionOf(conditions, type)?.message ?? '';
  const at = (state: Standing['state'], since: number | undefined, message: string): Standing => ({
    state,
    ...(since === undefined ? {} : { since }),
    message,
  });
  const isConnected = reported?.connected ?? conditionOf(conditions, 'Connected')?.status === 'True';
  if (!isConnected)
    return at('Away', reported?.disconnectedAt ?? timeOf(object?.status?.disconnectedAt), said('Connected'));
  const restraint = object && restraintOf(object);
  if (restraint !== undefined)
    return at(restraint, timeOf(object && restrainedSinceOf(object)), said(restraint));
  const ready = conditionOf(conditions, 'Ready');
  const isReady = reported?.ready ?? ready?.status === 'True';
  const since = timeOf(ready?.lastTransitionTime);
  return at(isReady ? 'Ready' : 'NotReady', since, reported?.message || (ready?.message ?? ''));
};
