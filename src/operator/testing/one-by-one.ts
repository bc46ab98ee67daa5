import { conditionOf } from '../../api/condition.ts';
import type { GroupStatus } from '../../api/group-status.ts';
import { selects } from '../../api/selector.ts';
import { isServedAt } from '../../plan/policies.ts';
import type { RuntimeFact } from '../../rollout/facts.ts';
import { groupOf, groupPointOf, isOpenTo } from '../../rollout/groups/membership.ts';
import { adapterAt } from '../fleet/adapter-at.ts';
import type { Policies } from '../objects/policies.ts';
import { restrainedSinceOf, restraintOf } from '../objects/restraint.ts';
import { scopeOf } from '../objects/scope.ts';
import { saidOf } from '../reconcile/alike.ts';
import { type ControllerParts, graceMs } from '../reconcile/controller.ts';
import type { AlikeGroup, Presences, PresentRuntime } from '../reconcile/presence.ts';
import { refusedAs } from '../reconcile/route-answers.ts';
import type { Kept } from '../rollout/view.ts';
import { setOf } from './runtime-set.ts';

/** For tests: what is kept of runtimes, from a look at each of them. */
export const nothingKept: Kept = {
  unread: (_, some) => ({
    runtimes: some.flatMap((set) => set.each()).sort((a, b) => (a.key < b.key ? -1 : 1)),
    seen: undefined,
  }),
  served: (rollout, some) => {
    const all = some.flatMap((set) => set.each()).map(({ state }) => state?.rollouts.get(rollout)?.served);
    const sum = (arm: 'stable' | 'canary') => BigInt(all.reduce((so, one) => so + (one?.[arm] ?? 0), 0));
    return [sum('stable'), sum('canary')];
  },
  gone: (some) => ({
    lately: some
      .flatMap((set) => set.each())
      .filter(
        ({ restraint, restrainedSince, awaySince }) =>
          restraint === undefined || (awaySince !== undefined && (restrainedSince ?? Infinity) > awaySince),
      ),
    before: setOf(),
  }),
  parted: (some, rolloutUid, groups) =>
    some.each().map((runtime) => {
      const candidate = { point: groupPointOf(rolloutUid, runtime.key), labels: runtime.labels };
      const group = groupOf(groups, candidate);
      const isOpen = group !== undefined && isOpenTo({ open: group.open }, candidate);
      return { group, isOpen, runtimes: setOf(runtime) };
    }),
};

type Parts = Pick<ControllerParts, 'clock' | 'term' | 'objects' | 'fleet'> & {
  readonly policies: Pick<Policies, 'policyOf'>;
};

/** Those that see the objects of a namespace, each from its object and its reports, in the order of their keys. */
const presentIn = (
  { clock, term, objects, fleet, policies }: Parts,
  namespace: string,
): readonly PresentRuntime[] => {
  const isEarly = clock.monotonic() - term.since < graceMs;
  return [...objects.runtimes.list()]
    .toSorted((a, b) => (a.key < b.key ? -1 : 1))
    .flatMap(({ key, object }): PresentRuntime[] => {
      const state = fleet.get(key);
      const { status, metadata } = object ?? {};
      const scope = scopeOf(state?.kind ?? status?.kind ?? 'Pod', key);
      const labels = metadata?.labels ?? {};
      const policy = policies.policyOf(namespace);
      if (scope === undefined ? !isServedAt(policy, { labels }) : scope !== namespace) return [];
      const wasConnected = conditionOf(status?.conditions, 'Connected')?.status === 'True';
      const away = state === undefined && wasConnected && isEarly ? 'Silent' : 'Away';
      const presence = state?.connected === true ? 'Connected' : away;
      const since = Date.parse((object && restrainedSinceOf(object)) ?? '');
      const went = state?.disconnectedAt ?? Date.parse(status?.disconnectedAt ?? '');
      return [
        {
          key,
          scope,
          labels,
          baseModel: state?.info.baseModel ?? status?.baseModel.name ?? '',
          presence,
          restraint: object && restraintOf(object),
          restrainedSince: Number.isNaN(since) ? undefined : since,
          awaySince: presence !== 'Away' || Number.isNaN(went) ? undefined : went,
          state,
        },
      ];
    });
};

/** For tests: the same answers, from a look at each runtime; everybody is a group of its own. */
export const oneByOne = (parts: Parts): Pick<Presences, 'groups'> & Kept => ({
  ...nothingKept,
  groups: (namespace, { selectors = [], adapters = [], rollouts = [], route }) => {
    const runtimes = presentIn(parts, namespace);
    const isAnySilent = runtimes.some(({ presence }) => presence === 'Silent');
    const graceLeft = parts.term.since + graceMs - parts.clock.monotonic();
    const groups = runtimes.map((runtime): AlikeGroup => {
      const { presence, scope, baseModel, restraint, labels, state } = runtime;
      return {
        presence,
        profile: {
          scope,
          baseModel,
          isConnected: presence === 'Connected',
          isExpected: presence === 'Silent',
          restraint,
          isServing: state?.ready ?? false,
          build: state?.info.baseDigest ?? '',
          memoryBytes: state?.memory.budgetBytes ?? 0,
          diskBytes: state?.disk.budgetBytes ?? 0,
          maxRank: state?.info.maxRank ?? 0,
          tellsClassifiers: state?.classifiers !== undefined,
        },
        runtimes: setOf(runtime),
        selected: selectors.map((selector) => selects(selector, labels)),
        adapters: adapters.map(({ key, uid }) => adapterAt(state, key, uid)),
        reports: rollouts.map(({ key, uid }) => {
          const report = state?.rollouts.get(key);
          return report?.uid === uid ? saidOf(report) : undefined;
        }),
        ...(route && {
          route: {
            isReached: state !== undefined && state.acknowledged.routes >= route.since,
            refusal: state?.refused.get(refusedAs + route.key),
            classifiers: state?.classifiers && (state.classifiers.get(route.key) ?? []),
          },
        }),
      };
    });
    return { groups, ...(isAnySilent ? { changesInMs: graceLeft } : {}) };
  },
});

/** For tests: what is said of each runtime, with the group that it is in. */
export const eachIn = (facts: readonly RuntimeFact[], groups: readonly GroupStatus[]) => {
  // Who went before all groups began is lost to none of them, whenever that was.
  const began = Math.min(...groups.flatMap(({ startedAt }) => (startedAt ? [Date.parse(startedAt)] : [])));
  return Object.fromEntries(
    facts
      .flatMap(({ parted }) => parted(groups))
      .flatMap(({ group, isOpen, runtimes }) => {
        const { isConnected, isServing, canary, why, weight, awaySince: since = -Infinity } = runtimes;
        const awaySince = since < began ? undefined : since;
        const [all, points] = [runtimes.names(), runtimes.candidates()];
        const isWhole = all.length === runtimes.size && points.length === runtimes.size;
        const fact = { isConnected, awaySince, isServing, canary, why, weight, isOpen, isWhole };
        return all.map((name, at) => [name, { ...fact, ...points[at], group: group?.name }]);
      }),
  );
};
