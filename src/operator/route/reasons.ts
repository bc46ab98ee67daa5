import { readyTypes } from '../../api/condition.ts';

/** Types of the conditions of an AdapterRoute, with what each one means. */
export const conditionTypes = {
  Accepted: 'The spec is valid and clients can call the route by its model name.',
  ResolvedRefs: 'Everything that its rules name exists.',
  Programmed: 'Every connected runtime routes by it.',
  ClassifiersReady:
    'Its classifiers that need an artifact have it on every runtime that routes by it. Absent where none needs one.',
  ...readyTypes,
  Ready:
    'It is accepted, what it names exists, every connected runtime routes by it, and no classifier lacks its artifact there.',
} as const;
export type ConditionType = keyof typeof conditionTypes;

/** Reasons of the conditions of an AdapterRoute, with what each one means. */
export const conditionReasons = {
  Accepted: 'The spec is valid and the name is its own.',
  NameConflict: 'spec.model belongs to an older object or to a base model: no runtime has the route.',
  InvalidSpec: 'The spec is not valid; the message says which fields.',
  Resolved: 'Everything that its rules name exists.',
  ResolvedWithWarnings: 'Everything exists, but a rule hardly does what it should.',
  TargetMissing: 'A rule names a rollout or an Adapter that does not exist; its requests go to the fallback.',
  NotAllowed:
    'A rule asks for what the policy of the namespace does not allow; its requests go to the fallback.',
  NotChecked: 'The spec is not valid, so that its targets are not known.',
  Programmed: 'Every connected runtime routes by it.',
  Pending: 'Some connected runtimes do not route by it yet.',
  Refused: 'A runtime refused it and keeps what it had before.',
  NoRuntime: 'No runtime is connected.',
  NotAccepted: 'It is not accepted: no runtime gets it.',
  ClassifiersReady: 'Every runtime that routes by it has what its classifiers need.',
  ClassifierPending:
    'An artifact of a classifier is on its way to a runtime: the classifier is uncertain there.',
  ClassifierFailed:
    'A runtime cannot have an artifact of a classifier, or has no encoder for it: the classifier is uncertain there. It is tried again.',
  NotTold: 'A runtime of an earlier version does not tell of classifiers, or no runtime routes by it yet.',
} as const;
export type ConditionReason = keyof typeof conditionReasons;

/** Reasons of the events of an AdapterRoute, with what each one means. */
export const eventReasons = {
  NameConflict: 'spec.model belongs to an older object or to a base model.',
  InvalidSpec: 'The spec is not valid, or the status cannot be read.',
  TargetMissing: 'A rule names a rollout or an Adapter that does not exist.',
  NotAllowed: 'A rule asks for what the policy of the namespace does not allow.',
  Refused: 'A runtime refused the route.',
  ClassifierFailed: 'A runtime cannot have an artifact of a classifier, or has no encoder for it.',
} as const;
export type EventReason = keyof typeof eventReasons;
