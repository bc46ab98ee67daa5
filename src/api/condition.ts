import { z } from 'zod';
import { text } from './text.ts';

/** Longest message of a status or a condition, in characters. Writers cut theirs to it. */
export const maxStatusMessage = 4096;

export const time = text(40).meta({ description: 'RFC 3339 time.' });
export const generation = z.int().min(0);

const conditionSchema = z
  .strictObject({
    type: text(316).min(1).meta({ description: 'What the condition is about, in CamelCase.' }),
    status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Status of the condition.' }),
    reason: text(1024).meta({ description: 'Why, as one CamelCase word for programs.' }),
    message: text(maxStatusMessage).meta({ description: 'Why, for people.' }),
    lastTransitionTime: time.meta({ description: 'RFC 3339 time of the last change of status.' }),
  })
  .meta({ description: 'One observation about the object.' });
export type Condition = z.infer<typeof conditionSchema>;

/** Conditions as Kubernetes has them: a map by type. */
export const conditionsSchema = z
  .array(conditionSchema)
  .max(16)
  .meta({
    description: 'Observations about the object, one of each type.',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
  });

/** A condition before it has a time. */
export type Observed<T extends string = string, R extends string = string> = {
  readonly type: T;
  readonly status: Condition['status'];
  readonly reason: R;
  readonly message: string;
};

/**
 * Conditions by which `kubectl wait`, Argo CD, Flux and Helm know when an object is done (kstatus,
 * https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus). Reconciling and Stalled are there only while true.
 */
export const readyTypes = {
  Ready: 'It is what its spec asks for.',
  Reconciling: 'It is on its way to what its spec asks for, or waits for something that may come by itself.',
  Stalled: 'It will not get there by itself: somebody has to change something.',
} as const;

/** Unknown: nobody can tell at present. */
export type Progress = 'Current' | 'InProgress' | 'Failed' | 'Unknown';

/** Ready, and Reconciling or Stalled with the same reason where it is not. */
export const readiness = <R extends string>(
  progress: Progress,
  reason: R,
  message: string,
): Observed<keyof typeof readyTypes, R>[] => {
  const why = { reason, message };
  switch (progress) {
    case 'Current':
      return [{ type: 'Ready', status: 'True', ...why }];
    case 'InProgress':
      return [
        { type: 'Ready', status: 'False', ...why },
        { type: 'Reconciling', status: 'True', ...why },
      ];
    case 'Failed':
      return [
        { type: 'Ready', status: 'False', ...why },
        { type: 'Stalled', status: 'True', ...why },
      ];
    case 'Unknown':
      return [{ type: 'Ready', status: 'Unknown', ...why }];
    default:
      return progress satisfies never;
  }
};

/**
 * Conditions with the time of their last change of status: the former one while the status is the same. One that is not
 * observed any more is not there.
 */
export const conditionsOf = (
  observed: readonly Observed[],
  before: readonly Condition[] | undefined,
  now: string,
): Condition[] =>
  observed.map(({ type, status, reason, message }) => {
    const old = conditionOf(before, type);
    const lastTransitionTime = old?.status === status ? old.lastTransitionTime : now;
    return { type, status, reason, message: cut(message), lastTransitionTime };
  });

export const conditionOf = (conditions: readonly Condition[] | undefined, type: string) =>
  conditions?.find((condition) => condition.type === type);

/** What programs act on of conditions: without messages and times. */
export const verdictsOf = (conditions: readonly Condition[]): readonly string[] =>
  conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`);

/**
 * A text of at most `max` characters. No half of a surrogate pair is left at the end: the API server would keep another
 * text than the one that was sent, and the difference would be written again and again.
 */
export const cut = (value: string, max = maxStatusMessage): string =>
  (value.length > max ? `${value.slice(0, max - 1)}…` : value).toWellFormed();

/** At most `max` of the items, and how many more there are: `a, b, c and 4 more`. */
export const joinCapped = (items: readonly string[], max: number, separator = ', '): string =>
  items.length <= max
    ? items.join(separator)
    : `${items.slice(0, max).join(separator)} and ${items.length - max} more`;
