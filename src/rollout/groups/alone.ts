import type { RuntimeFact } from '../facts.ts';
import { groupOf, groupPointOf, isOpenTo } from './membership.ts';

type Alone = Omit<RuntimeFact, 'size' | 'names' | 'candidates' | 'parted'> & {
  /** namespace/name of its AdapterRuntime. */
  readonly key: string;
  readonly labels: Readonly<Record<string, string>>;
};

/** One runtime, as groups of a rollout look at it. */
export const alone = (rolloutUid: string, { key, labels, ...fact }: Alone): RuntimeFact => {
  const candidate = { point: groupPointOf(rolloutUid, key), labels };
  const one: RuntimeFact = {
    ...fact,
    size: 1,
    names: () => [key],
    candidates: () => [candidate],
    parted: (groups) => {
      const group = groupOf(groups, candidate);
      return [{ group, isOpen: group !== undefined && isOpenTo(group, candidate), runtimes: one }];
    },
  };
  return one;
};

export const countOf = (runtimes: readonly Pick<RuntimeFact, 'size'>[]): number =>
  runtimes.reduce((sum, { size }) => sum + size, 0);
