import type { Digest } from '../../api/names.ts';
import type { AdapterState, ClassifierState, RolloutState } from '../fleet/fleet.ts';
import type { Restraint } from '../objects/restraint.ts';
import type { Scope } from '../objects/scope.ts';
import { Bits } from './bits.ts';
import type { Variant } from './variants.ts';

/** What a runtime is, whatever it says of adapters and rollouts. */
export type Profile = {
  readonly scope: Scope;
  readonly baseModel: string;
  readonly isConnected: boolean;
  /** Nothing was heard of it in this term, and it was connected before. */
  readonly isExpected: boolean;
  readonly restraint: Restraint | undefined;
  /** It can answer requests. */
  readonly isServing: boolean;
  /** Digest of the base model; '' while it is not known. */
  readonly build: Digest | '';
  /** Budgets in bytes; 0 while they are not known. */
  readonly memoryBytes: number;
  readonly diskBytes: number;
  /** Largest LoRA rank; 0 while it is not known. */
  readonly maxRank: number;
  /** Its version says how classifiers of routes are. */
  readonly tellsClassifiers: boolean;
};

/** What a runtime says of a rollout, but for what it counted. */
export type Said = Omit<RolloutState, 'served' | 'counts' | 'mirror'> & {
  /** Percent of requests that are mirrored; undefined: none are, nor were. */
  readonly mirrorPercentage: number | undefined;
};

/** What a runtime says of a route. */
export type SaidOfRoute = {
  /** It answered a plan that has it. */
  readonly isReached: boolean;
  /** Why it refuses it, if so. */
  readonly refusal: string | undefined;
  /** Undefined: its version does not tell. */
  readonly classifiers: readonly ClassifierState[] | undefined;
};

/** Runtimes that a question does not tell apart. Each answer is in the place of what it answers. */
export type Group = {
  readonly profile: Profile;
  readonly runtimes: Bits;
  readonly selected: readonly boolean[];
  readonly adapters: readonly (AdapterState | undefined)[];
  readonly reports: readonly (Said | undefined)[];
  /** Absent: no route was asked about. */
  readonly route?: SaidOfRoute;
};

/** `chosen`: undefined: everybody. */
export const selectedParts = (group: Group, chosen: Bits | undefined): Group[] => {
  const { runtimes, selected } = group;
  if (chosen === undefined) return [{ ...group, selected: [...selected, true] }];
  return [
    { ...group, runtimes: runtimes.and(chosen), selected: [...selected, true] },
    { ...group, runtimes: runtimes.without(chosen), selected: [...selected, false] },
  ].filter((part) => part.runtimes.size > 0);
};

type Dividing<T> = {
  readonly variants: readonly Variant<T>[];
  /** How many there are. */
  readonly runtimes: number;
  readonly answer: (group: Group, value: T | undefined) => Partial<Group>;
};

/**
 * Groups in parts that say the same. Each group meets each variant only where these are few: where all differ, that would be
 * the square of the runtimes, and a look at what each says is cheaper.
 */
export const dividedAll = <T>(
  groups: readonly Group[],
  { variants, runtimes, answer }: Dividing<T>,
): readonly Group[] => {
  if (groups.length * variants.length <= runtimes)
    return groups.flatMap((group) => divided(group, variants, (value) => answer(group, value)));
  const said = new Map<number, T>();
  for (const { value, runtimes: saying } of variants) for (const number of saying) said.set(number, value);
  return groups.flatMap((group) =>
    [...Map.groupBy(group.runtimes, (number) => said.get(number))].map(([value, numbers]) => ({
      ...group,
      runtimes: Bits.of(numbers),
      ...answer(group, value),
    })),
  );
};

/** A group in parts that say the same, and the rest, which says nothing. */
const divided = <T>(
  group: Group,
  variants: readonly Variant<T>[],
  answer: (value: T | undefined) => Partial<Group>,
): Group[] => {
  let rest = group.runtimes;
  const parts: Group[] = [];
  for (const { value, runtimes } of variants) {
    if (rest.size === 0) break;
    const saying = rest.and(runtimes);
    if (saying.size === 0) continue;
    rest = rest.without(runtimes);
    parts.push({ ...group, runtimes: saying, ...answer(value) });
  }
  return rest.size === 0 ? parts : [...parts, { ...group, runtimes: rest, ...answer(undefined) }];
};
