import { adaptersView } from '../../dashboard/adapters.ts';
import { fleetView, runtimesPage } from '../../dashboard/fleet.ts';
import type { RolloutHistory } from '../../dashboard/history.ts';
import { pageOfRollouts, rolloutView, timeOf } from '../../dashboard/rollouts.ts';
import type { Timeline } from '../../dashboard/timeline.ts';
import type {
  AdapterRow,
  RolloutView,
  RuntimeRow,
  ViewScope,
  Views,
  Waiting,
} from '../../dashboard/views.ts';
import { waitingOf, waitingPage } from '../../dashboard/waiting.ts';
import type { RuntimeStatus } from '../admin/views.ts';
import type { AdapterView } from '../residency/adapter-view.ts';

export type NodeViewParts = {
  readonly status: () => RuntimeStatus;
  /** Of the machine. */
  readonly name: string;
  readonly history: RolloutHistory;
  readonly timeline: Timeline;
  /** Wall time since when both remember. */
  readonly since: number;
};

/** Key of the runtime among all that there are: itself. */
export const keyOf = (name: string): string => `node/${name}`;

const isIn = (scope: ViewScope, key: string): boolean => scope === undefined || key.startsWith(`${scope}/`);

/** Views of what a node has and does. */
export const nodeViews = ({ status, name, history, timeline, since }: NodeViewParts): Views => {
  const rows = (): RuntimeRow[] => [rowOf(status(), name)];
  const rollouts = (scope: ViewScope): RolloutView[] =>
    status()
      .rollouts.filter(({ key }) => isIn(scope, key))
      .map(nodeRollout);
  return {
    about: () => ({ version: status().version, shownBy: name, kind: 'Node', since }),
    fleet: (_, by) => fleetView(rows(), by),
    runtimes: (_, query) => runtimesPage(rows(), query),
    rollouts: (scope, limit) => pageOfRollouts(rollouts(scope), limit),
    adapters: (scope, limit) => {
      const { adapters, baseModel } = status();
      const shown = adapters.filter(({ key }) => isIn(scope, key));
      return adaptersView(
        shown.map((adapter) => adapterRow(adapter, baseModel)),
        limit,
      );
    },
    waiting: (scope, _, limit) =>
      waitingPage(
        waitingAt(status(), name).filter(({ kind, key }) => kind === 'AdapterRuntime' || isIn(scope, key)),
        limit,
      ),
    history: (key) => {
      const rollout = status().rollouts.find((one) => one.key === key);
      return rollout && { since, rollout: nodeRollout(rollout), samples: history.of(key) };
    },
    timeline: (key) =>
      key === keyOf(name)
        ? { since, runtime: rowOf(status(), name), happenings: timeline.of(key) }
        : undefined,
  };
};

/** As it was decided here; in a cluster, what this node does with it. */
export const nodeRollout = (rollout: RuntimeStatus['rollouts'][number]): RolloutView => {
  if (rollout.object !== undefined) return rolloutView(rollout.object);
  const { key, phase, message, stable, canary, effectiveWeight: weight, step, held } = rollout;
  const said = held === '' ? message : held;
  const nothing = { groups: [], runtimes: {}, metrics: [], reason: '' };
  return { ...nothing, key, phase, message: said, stable, canary, weight, step };
};

const rowOf = ({ version, baseModel, engine, model, operator }: RuntimeStatus, node: string): RuntimeRow => {
  const isAlone = operator !== undefined && operator.address !== '' && operator.state !== 'connected';
  const since = timeOf(operator?.since);
  const alone = `goes on by its last plan, ${operator?.state}: ${operator?.lastError}`;
  return {
    key: keyOf(node),
    node,
    baseModel,
    version,
    state: engine === 'ready' ? 'Ready' : 'NotReady',
    ...(since === undefined ? {} : { since }),
    message: isAlone ? alone : model.message,
    labels: {},
  };
};

const none = { Remote: 0, Stored: 0, Resident: 0, Failed: 0 };
/** Tier of each state; of one that a newer version has, nothing is known but that it is not ready. */
const tiers: Readonly<Record<string, keyof typeof none>> = {
  Stored: 'Stored',
  Compiled: 'Stored',
  Loaded: 'Stored',
  Draining: 'Stored',
  Resident: 'Resident',
  Failed: 'Failed',
};

const adapterRow = (
  { key, digest, state, message, references }: AdapterView,
  baseModel: string,
): AdapterRow => ({
  key,
  baseModel,
  digest,
  tiers: { ...none, [tiers[state] ?? 'Remote']: 1 },
  serving: references > 0 ? 1 : 0,
  message: message === '' ? state : message,
});

const waitingAt = ({ rollouts, manifests, operator }: RuntimeStatus, name: string): Waiting[] => {
  const here = { kind: 'AdapterRuntime', key: keyOf(name) } as const;
  const { removalsHeld: removals, state, lastError } = operator ?? {};
  const command = '`adaptlet confirm-removals` lets them happen now';
  return [
    ...rollouts.flatMap(({ key, object, held }): Waiting[] => [
      ...waitingOf('AdapterRollout', key, object?.status?.conditions),
      ...(held === '' ? [] : [{ kind: 'AdapterRollout' as const, key, reason: 'Held', message: held }]),
    ]),
    ...manifests.problems.map(({ file, line, reason }) => ({
      ...here,
      reason: 'InvalidManifest',
      message: `${file}:${line}: ${reason}`,
    })),
    ...(removals === undefined
      ? []
      : [
          {
            ...here,
            reason: 'ManyRemovals',
            message: `${removals.count} removals are held back; ${command}`,
          },
        ]),
    ...(state === 'untrusted' ? [{ ...here, reason: 'Untrusted', message: lastError ?? '' }] : []),
  ];
};
