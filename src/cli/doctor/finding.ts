import type { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { FindingId } from './catalogue.ts';

/** `warning`: it works, or could not be looked at. `problem`: it does not, and the exit code says so. */
export type Level = 'ok' | 'warning' | 'problem';

export type Finding = {
  readonly id: FindingId;
  readonly level: Level;
  /** One line. */
  readonly message: string;
  /** What to do, a command where there is one; of everything that is not ok. */
  readonly fix?: string;
};

export const ok = (id: FindingId, message: string): Finding => ({ id, level: 'ok', message });
export const warning = (id: FindingId, message: string, fix: string): Finding => ({
  id,
  level: 'warning',
  message,
  fix,
});
export const problem = (id: FindingId, message: string, fix: string): Finding => ({
  id,
  level: 'problem',
  message,
  fix,
});

/** What was asked for: an answer, or why there is none. */
export type Asked<T> = { readonly value: T } | { readonly error: AdaptletError };

/** The findings about an answer; without one, that nobody could look. */
export const of = <T>(
  asked: Asked<T>,
  id: FindingId,
  what: string,
  check: (value: T) => readonly Finding[],
): readonly Finding[] => {
  if ('value' in asked) return check(asked.value);
  const { error } = asked;
  const fix =
    errorCodeOf(error) === 'KUBE_FORBIDDEN'
      ? 'Run it as somebody who may look there, for example with the ClusterRole cluster-admin.'
      : error.advice;
  return [warning(id, `${what} could not be looked at: ${error.what}`, fix)];
};

/** Names of a few, and how many more there are. */
export const named = (names: readonly string[], most = 5): string => {
  const rest = names.length - most;
  return rest > 0 ? `${names.slice(0, most).join(', ')} and ${rest} more` : names.join(', ');
};
