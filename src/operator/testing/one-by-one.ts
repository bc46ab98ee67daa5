import { selects } from '../../api/selector.ts';
import { adapterAt } from '../fleet/adapter-at.ts';
import { saidOf } from '../reconcile/alike.ts';
import type { AlikeGroup, Presences } from '../reconcile/presence.ts';
import { setOf } from './runtime-set.ts';

/** For tests: the same answers, from a look at each runtime; everybody is a group of its own. */
export const oneByOne = (presences: Presences): Pick<Presences, 'groups'> => ({
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
