import { readyTypes } from '../api/condition.ts';

/** Reasons of the condition Schedulable of rollouts and Adapters, in a cluster, with what each one means. */
export const placementReasons = {
  Placeable: 'Connected runtimes can hold it; the message says how many.',
  NoRuntime: 'No runtime that is known has the base model and the labels.',
  NotConnected: 'Runtimes have the base model and the labels, but none of them is connected.',
  Cordoned: 'All runtimes that it is for are cordoned or held, and do not have it.',
  OtherBuild: 'No runtime has a build of the base model that spec.baseModelDigests lists.',
  NoMemory: 'No runtime has enough RAM for adapters.',
  NoDisk: 'No runtime has enough disk for adapters.',
  RankTooHigh: 'Its rank is above the limit of every runtime.',
  Refused: 'Every runtime refused it.',
  AdapterUnknown: 'The Adapter does not exist or is not valid: nobody knows what is to be placed.',
} as const;
export type PlacementReason = keyof typeof placementReasons;

/** Reasons of the conditions of an AdapterRollout, with what each one means. */
export const conditionReasons = {
  AwaitingAdapter: 'The Adapter that spec.adapter names does not exist yet.',
  AwaitingDigest: 'The digest of the Adapter is not known yet.',
  AwaitingResident: 'The Adapter is not ready to serve yet; no step advances until it is.',
  StepPaused: 'A pause step is waiting until its duration has passed.',
  AwaitingPromotion: 'A pause step without a duration is waiting for somebody to promote.',
  Analysing: 'An analysis step measures how the canary does.',
  AwaitingVerdict:
    'A metric failed as a signal, could not tell or could not be measured: waits for somebody to promote or abort.',
  AnalysesFound: 'Every AdapterAnalysis that the strategy refers to is there.',
  AnalysisNotFound:
    'The strategy refers to an AdapterAnalysis that does not exist: the canary advances once it does.',
  AnalysisInvalid:
    'An analysis of the strategy, or one that it refers to, is not valid: the canary does not advance.',
  AwaitingGroup: 'A group begins when one of its runtimes is connected.',
  GroupBaking: 'A group serves the canary to everybody until its bakeTime has passed.',
  GroupUnavailable: 'More runtimes of a group are unavailable than its maxUnavailable allows.',
  GroupFailed: 'Too many runtimes of a group failed: waits for somebody to promote, retry or abort.',
  PausedBySpec: 'The field spec.paused holds the rollout where it is.',
  NotPaused: 'Nothing holds the rollout.',
  Completed: 'The stable adapter is the one that spec.adapter names.',
  Aborted: 'The canary was given up; stable serves every request until the spec changes or somebody retries.',
  AdapterFailed: 'The Adapter was refused and cannot serve.',
  ProgressDeadlineExceeded:
    'The adapter was awaited for spec.progressDeadline without any progress; the rollout goes on when it comes.',
  AdapterRemoved: 'The Adapter object of stable was removed; what is loaded goes on serving.',
  StableServes: 'There is a stable adapter.',
  StableFails: 'Stable fails on a runtime: what replaces it there answers until it works again.',
  NoStable: 'No adapter has become stable yet.',
  FitsInRam: 'Stable and canary fit into the RAM budget together, as far as their sizes are known.',
  NameConflict: 'The name belongs to an older object: no runtime serves the rollout.',
  WithinMaxFailures: 'Runtimes failed, not more than spec.maxFailures: the rollout goes on without them.',
  NoRoom: 'The RAM budget cannot hold stable and canary together; the rollout does not start.',
  ...placementReasons,
} as const;
export type ConditionReason = keyof typeof conditionReasons;

/** Reasons of the events of an AdapterRollout, with what each one means. */
export const eventReasons = {
  RolloutStarted: 'A new canary was bound.',
  RolloutRestarted: 'The steps were edited: the canary starts again at the first one.',
  WeightSet: 'A step changed the weight that the canary is allowed.',
  MirrorSet: 'A step changed the percentage of requests that are mirrored to the canary.',
  StepPromoted: 'Somebody ended a pause or an analysis by hand.',
  GroupStarted: 'A group of runtimes gets the canary.',
  GroupSucceeded: 'A group of runtimes keeps the canary.',
  GroupFailed: 'Too many runtimes of a group failed: the rollout is paused.',
  GroupRolledBack: 'Too many runtimes of a group failed: it went back to stable, and the rollout is paused.',
  StepsSkipped: 'Somebody promoted the canary past its remaining steps.',
  Promoted: 'The canary became stable.',
  FastPromoted: 'The canary became stable without its remaining steps.',
  FastRolledBack: 'A recent stable adapter became stable again without steps.',
  RolledBack: 'The spec went back to stable: the canary was dropped.',
  Superseded: 'Another adapter took the place of the canary.',
  Aborted: 'The canary was given up.',
  Retried: 'An aborted canary starts again at the first step.',
  RequestRefused: 'A request by hand does not apply in the present state.',
  AnalysisNotFound: 'The strategy refers to an AdapterAnalysis that does not exist.',
  AnalysisInvalid: 'An analysis of the strategy, or one that it refers to, is not valid.',
  AdapterFailed: 'The Adapter was refused and cannot serve.',
  AdapterRemoved: 'The Adapter object of stable was removed.',
  ProgressDeadlineExceeded: 'The adapter was awaited for spec.progressDeadline without any progress.',
} as const;
export type EventReason = keyof typeof eventReasons;

/** Types of the conditions of an AdapterRollout, with what each one means. */
export const conditionTypes = {
  Progressing: 'The rollout is on its way and nothing holds it.',
  Paused: 'The rollout waits: for a pause step, for a person, or because spec.paused says so.',
  Available: 'There is a stable adapter for every request.',
  Healthy: 'Stable is what the spec asks for: the phase, for `kubectl wait`.',
  Schedulable:
    'Runtimes can hold what spec.adapter names; on a node of its own, stable and canary at the same time.',
  AnalysesFound:
    'What the strategy refers to is there and valid. Only of rollouts that refer to something, or whose own analyses are not valid.',
  RuntimesSetAside:
    'Runtimes failed and the rollout goes on without them; status.failures names them. It is there only while true.',
  ...readyTypes,
  Ready: 'Stable is what the spec asks for, and serves under the name of the rollout.',
} as const;
export type ConditionType = keyof typeof conditionTypes;
