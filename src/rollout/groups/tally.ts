import { joinCapped } from '../../api/condition.ts';
import type { GroupRuntimes, GroupStatus } from '../../api/group-status.ts';
import { amountOf, type Group } from '../../api/groups.ts';
import { percentOf } from '../../api/percent.ts';
import type { AdapterFact, RuntimeFact } from '../facts.ts';
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

const named = (runtimes: readonly { readonly key: string; readonly why: string }[]): string =>
  joinCapped(
    runtimes.map(({ key, why }) => (why === '' ? key : `${key} (${why.slice(0, 500)})`)),
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
  const failed = [
    ...connected.filter(({ canary }) => canary === 'Failed'),
    ...(isCulprit ? overdue.map(({ key }) => ({ key, why: 'went offline and did not come back' })) : []),
  ];
  const later = waiting.filter(({ isConnected }) => isConnected).length;
  // One that sleeps is waited for no longer: it gets what is decided when it wakes.
  const all = connected.length + later + lost.length - (isCulprit ? 0 : overdue.length);
  // Failures that are allowed do not stand in the way of the others.
  const size = all - failed.length;
  const ready = connected.filter(({ canary }) => canary === 'Ready');
  const followers = ready.filter(({ weight }) => weight === group.weight);
  const isEnough = (count: number): boolean =>
    count > 0 && count * 100 >= size * percentOf(spec.successThreshold);
  const unready = [
    ...connected.filter(({ canary }) => canary === 'Pending'),
    ...lost.filter((runtime) => !overdue.includes(runtime)).map(({ key }) => ({ key, why: 'went offline' })),
  ];
  const unavailable = lost.length + connected.filter(({ isServing }) => !isServing).length;
  const waits = lost.flatMap(({ awaySince = now }) =>
    now - awaySince < deadlineMs ? [awaySince + deadlineMs - now] : [],
  );
  const maxFailed = Math.max(amountOf(spec.maxFailures, all), group.accepted ?? 0);
  return {
    fact: {
      ...target,
      runtimes: { ready: ready.length, connected: connected.length },
      ...(isEnough(ready.length)
        ? { state: 'Resident', reason: '', message: '' }
        : {
            state: 'Pending',
            reason: 'RuntimesNotReady',
            message: `${ready.length} of ${size} runtimes of group ${group.name} are ready${unready.length === 0 ? '' : `; not ${named(unready)}`}`,
          }),
    },
    runtimes: {
      desired: all,
      updated: followers.length,
      ready: ready.length,
      failed: failed.length,
      offline: [...open, ...waiting].filter(({ isConnected }) => !isConnected).length,
    },
    failed: failed.length,
    failedBecause: named(failed),
    isTooManyFailed: failed.length > maxFailed,
    unavailable,
    isTooManyUnavailable:
      spec.maxUnavailable !== undefined && unavailable > amountOf(spec.maxUnavailable, all),
    isFollowed: isEnough(followers.length),
    loading: connected.filter(({ canary }) => canary === 'Pending').length,
    mayLoad:
      spec.maxConcurrency === undefined
        ? Number.POSITIVE_INFINITY
        : Math.max(1, amountOf(spec.maxConcurrency, all)),
    nextMs: waits.length === 0 ? undefined : Math.min(...waits),
  };
};
