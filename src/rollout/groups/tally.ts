import { joinCapped } from '../../api/condition.ts';
import type { GroupRuntimes, GroupStatus } from '../../api/group-status.ts';
import { amountOf, type Group } from '../../api/groups.ts';
import { percentOf } from '../../api/percent.ts';
import type { AdapterFact, RuntimeFact } from '../facts.ts';
import { countOf } from './alone.ts';
import { isLost, losesMore } from './losses.ts';

/** What is known of a group of runtimes that has begun, counted over its runtimes. */
export type GroupTally = {
  /** Of the target, over the runtimes of the group: Resident when as many are ready as successThreshold asks for. */
  readonly fact: AdapterFact;
  readonly runtimes: GroupRuntimes;
  /** Runtimes that failed; `failedBecause` names some of them with the reason. */
  readonly failed: number;
  readonly failedBecause: string;
  readonly isTooManyFailed: boolean;
  /** Gone, or there and not ready to serve. */
  readonly unavailable: number;
  readonly isTooManyUnavailable: boolean;
  /** As many follow the present weight as successThreshold asks for. */
  readonly isFollowed: boolean;
  /** Runtimes that are loading the canary, and how many may at a time. */
  readonly loading: number;
  readonly mayLoad: number;
  /** Milliseconds until the next lost runtime is given up. */
  readonly nextMs: number | undefined;
};

export type TallyInput = {
  readonly group: GroupStatus;
  readonly spec: Group;
  /** Those that have the canary, and those that wait for others of the group to load it. */
  readonly open: readonly RuntimeFact[];
  readonly waiting: readonly RuntimeFact[];
  /** What losses are compared with. */
  readonly others: readonly RuntimeFact[];
  readonly target: AdapterFact;
  readonly deadlineMs: number;
  readonly now: number;
};

const maxNamed = 3;

type Named = Pick<RuntimeFact, 'size' | 'names' | 'why'>;

/** Each part in the order of names. */
const named = (...parts: readonly (readonly Named[])[]): string =>
  joinCapped(
    parts.flatMap((runtimes) =>
      runtimes
        .flatMap(({ names, why }) => names().map((key) => ({ key, why })))
        .sort((a, b) => (a.key < b.key ? -1 : 1))
        .map(({ key, why }) => (why === '' ? key : `${key} (${why.slice(0, 500)})`)),
    ),
    maxNamed,
  );

/** Counts a group. Runtimes that were offline when it began, and those held by hand, are outside of everything. */
export const tallyOf = ({
  group,
  spec,
  open,
  waiting,
  others,
  target,
  deadlineMs,
  now,
}: TallyInput): GroupTally => {
  const since = Date.parse(group.startedAt ?? '');
  const lost = open.filter((runtime) => isLost(runtime, since));
  const overdue = lost.filter(({ awaySince = now }) => now - awaySince >= deadlineMs);
  // Who goes after the group has succeeded may be switched off as well; its guard and its refusals still count.
  const isJudged = group.phase !== 'Succeeded' && group.phase !== 'Paused';
  const isCulprit = isJudged && overdue.length > 0 && losesMore(open, others, since);
  const connected = open.filter(({ isConnected, canary }) => isConnected && canary !== 'Held');
  const failing = connected.filter(({ canary }) => canary === 'Failed');
  const culprits = isCulprit
    ? overdue.map((runtime) => ({ ...runtime, why: 'went offline and did not come back' }))
    : [];
  const failed = countOf(failing) + countOf(culprits);
  const later = countOf(waiting.filter(({ isConnected }) => isConnected));
  // One that sleeps is waited for no longer: it gets what is decided when it wakes.
  const all = countOf(connected) + later + countOf(lost) - (isCulprit ? 0 : countOf(overdue));
  // Failures that are allowed do not stand in the way of the others.
  const size = all - failed;
  const readyFacts = connected.filter(({ canary }) => canary === 'Ready');
  const ready = countOf(readyFacts);
  const followers = countOf(readyFacts.filter(({ weight }) => weight === group.weight));
  const isEnough = (count: number): boolean =>
    count > 0 && count * 100 >= size * percentOf(spec.successThreshold);
  const loading = connected.filter(({ canary }) => canary === 'Pending');
  const gone = lost
    .filter((runtime) => !overdue.includes(runtime))
    .map((runtime) => ({ ...runtime, why: 'went offline' }));
  const isAnyUnready = loading.length + gone.length > 0;
  const unavailable = countOf(lost) + countOf(connected.filter(({ isServing }) => !isServing));
  const waits = lost.flatMap(({ awaySince = now }) =>
    now - awaySince < deadlineMs ? [awaySince + deadlineMs - now] : [],
  );
  const maxFailed = Math.max(amountOf(spec.maxFailures, all), group.accepted ?? 0);
  return {
    fact: {
      ...target,
      runtimes: { ready, connected: countOf(connected) },
      ...(isEnough(ready)
        ? { state: 'Resident', reason: '', message: '' }
        : {
            state: 'Pending',
            reason: 'RuntimesNotReady',
            message: `${ready} of ${size} runtimes of group ${group.name} are ready${isAnyUnready ? `; not ${named(loading, gone)}` : ''}`,
          }),
    },
    runtimes: {
      desired: all,
      updated: followers,
      ready,
      failed,
      offline: countOf([...open, ...waiting].filter(({ isConnected }) => !isConnected)),
    },
    failed,
    failedBecause: named(failing, culprits),
    isTooManyFailed: failed > maxFailed,
    unavailable,
    isTooManyUnavailable:
      spec.maxUnavailable !== undefined && unavailable > amountOf(spec.maxUnavailable, all),
    isFollowed: isEnough(followers),
    loading: countOf(loading),
    mayLoad:
      spec.maxConcurrency === undefined
        ? Number.POSITIVE_INFINITY
        : Math.max(1, amountOf(spec.maxConcurrency, all)),
    nextMs: waits.length === 0 ? undefined : Math.min(...waits),
  };
};
