import type { AdapterStatus } from '../../api/adapter-status.ts';
import { cut } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import { type Holder, isFailed } from './observe.ts';

/** When the failures of runtimes were first seen; '' for one that was there when this term began. */
export type Seen = ReadonlyMap<ObjectKey, { readonly reason: string; readonly since: string }>;

const maxFailures = 10;

const nameOf = (key: ObjectKey): string => cut(key.slice(key.indexOf('/') + 1), 253);

/**
 * The failures to write, newest first, with the time when each was first seen.
 * `isNewTerm`: what is seen now for the first time may be old; it must not push out what is written.
 */
export const failuresOf = (
  holders: readonly Holder[],
  before: AdapterStatus['failures'],
  seen: Seen,
  { now, isNewTerm }: { readonly now: string; readonly isNewTerm: boolean },
): { readonly failures: AdapterStatus['failures']; readonly seen: Seen } => {
  const next = new Map<ObjectKey, { reason: string; since: string }>();
  const failing = holders
    .filter(isFailed)
    .flatMap(({ runtimes, state }) => runtimes.keys().map((key) => ({ key, state })))
    .sort((a, b) => compare(a.key, b.key));
  const failed = failing.map(({ key, state }) => {
    const { reason, message } = state ?? { reason: '', message: '' };
    const known = seen.get(key);
    const written = before.find((one) => one.runtime === nameOf(key) && one.reason === cut(reason, 128));
    const since = known?.reason === reason && known.since !== '' ? known.since : written?.time;
    const isOld = isNewTerm || known?.reason === reason;
    next.set(key, { reason, since: since ?? (isOld ? '' : now) });
    return {
      runtime: nameOf(key),
      reason: cut(reason, 128),
      message: cut(message),
      time: since ?? (isOld ? '' : now),
    };
  });
  const failures = failed
    .sort((a, b) => (a.time === b.time ? compare(a.runtime, b.runtime) : compare(b.time, a.time)))
    .slice(0, maxFailures)
    .map((one) => (one.time === '' ? { ...one, time: now } : one));
  return { failures, seen: next };
};

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
