import type { GroupStatus } from '../../api/group-status.ts';
import { selects } from '../../api/selector.ts';
import type { RuntimeFact } from '../../rollout/facts.ts';
import { groupOf, groupPointOf, isOpenTo } from '../../rollout/groups/membership.ts';
import { adapterAt } from '../fleet/adapter-at.ts';
import { saidOf } from '../reconcile/alike.ts';
import type { AlikeGroup, Presences } from '../reconcile/presence.ts';
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
  parted: (some, rolloutUid, groups) =>
    some.each().map((runtime) => {
      const candidate = { point: groupPointOf(rolloutUid, runtime.key), labels: runtime.labels };
      const group = groupOf(groups, candidate);
      const isOpen = group !== undefined && isOpenTo({ open: group.open }, candidate);
      return { group, isOpen, runtimes: setOf(runtime) };
    }),
};

/** For tests: the same answers, from a look at each runtime; everybody is a group of its own. */
export const oneByOne = (presences: Presences): Pick<Presences, 'groups'> & Kept => ({
  ...nothingKept,
  groups: (namespace, { selectors = [], adapters = [], rollouts = [] }) => {
    const { runtimes, ...rest } = presences.now(namespace);
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
        },
        runtimes: setOf(runtime),
        selected: selectors.map((selector) => selects(selector, labels)),
        adapters: adapters.map(({ key, uid }) => adapterAt(state, key, uid)),
        reports: rollouts.map(({ key, uid }) => {
          const report = state?.rollouts.get(key);
          return report?.uid === uid ? saidOf(report) : undefined;
        }),
      };
    });
    return { groups, ...rest };
  },
});

/** For tests: what is said of each runtime, with the group that it is in. */
export const eachIn = (facts: readonly RuntimeFact[], groups: readonly GroupStatus[]) =>
  Object.fromEntries(
    facts
      .flatMap(({ parted }) => parted(groups))
      .flatMap(({ group, isOpen, runtimes }) => {
        const { isConnected, awaySince, isServing, canary, why, weight } = runtimes;
        const [all, points] = [runtimes.names(), runtimes.candidates()];
        const isWhole = all.length === runtimes.size && points.length === runtimes.size;
        const fact = { isConnected, awaySince, isServing, canary, why, weight, isOpen, isWhole };
        return all.map((name, at) => [name, { ...fact, ...points[at], group: group?.name }]);
      }),
  );
