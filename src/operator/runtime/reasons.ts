import { readyTypes } from '../../api/condition.ts';
import { nodeCordoned } from '../objects/restraint.ts';

/** Types of the conditions of an AdapterRuntime, with what each one means. */
export const conditionTypes = {
  Connected: 'A replica of the operator has a stream with the runtime.',
  ...readyTypes,
  Ready: 'The runtime says that it can answer requests.',
  ModelReady: 'The base model is on the disk of the runtime and loaded.',
  ProviderReady: 'The base model runs on an execution provider that was asked for.',
  ModelLimited:
    'Something is not done with its base model because it could not be shown to be right. Absent where everything is.',
  ModelMatches:
    'The runtime has the same build of its base model as most runtimes with a model of that name.',
  InSync: 'The runtime refuses no part of its plan, and has all of it.',
  RemovalsHeld: 'The runtime holds removals back, because they take away more than half of what it holds.',
  Cordoned: 'It keeps and serves what it has, and gets nothing new.',
  Held: 'Nothing changes there but what takes something back.',
} as const;
export type ConditionType = keyof typeof conditionTypes;

/** Reasons of the conditions of an AdapterRuntime, with what each one means. */
export const conditionReasons = {
  Connected: 'A replica of the operator has a stream with it.',
  Disconnected: 'No replica has a stream with it; it goes on with the last plan that it has.',
  Serving: 'It says that it can answer requests.',
  NotServing: 'It says that it cannot answer requests; the message is its own.',
  Loaded: 'The base model is loaded.',
  Resolving: 'The registry is asked for the base model.',
  Downloading: 'The base model is being fetched; the message says how far it is.',
  FetchFailed: 'The base model could not be fetched; it is tried again by itself.',
  Loading:
    'The base model is on the disk and being loaded; the first time its graph is optimised and proved.',
  ProviderInUse: 'The message names the provider, and what it leaves to the CPU.',
  Fallback:
    'No provider that was asked for works there, and the CPU runs the base model; the message says why.',
  NotShown: 'The message says what is not done, and why; requests are answered without it.',
  SameModel: 'Its base model is the one that most runtimes have.',
  OtherModel: 'Its base model has other files than the one of that name on most runtimes.',
  NoMajority: 'Runtimes have several builds of that base model, none of them on more than the others.',
  NothingRefused: 'Every part of its plan is in force.',
  Refused: 'It refused parts of its plan; their former versions go on.',
  NotEnforced:
    'Its version does not know a field of a policy, and has no adapter that the field could forbid.',
  ManyRemovals: 'Removals wait for a confirmation, or for time to pass.',
  NoRemovalsHeld: 'Nothing is held back.',
  CordonedBySpec: 'spec.cordoned says so.',
  [nodeCordoned]: 'Its Node is cordoned (`kubectl cordon`).',
  NotCordoned: 'It gets what is new.',
  HeldBySpec: 'spec.held says so; the message names the revision of its plan that stays.',
  NotHeld: 'It follows its plan.',
} as const;
export type ConditionReason = keyof typeof conditionReasons;

/** Reasons of the events of an AdapterRuntime, with what each one means. */
export const eventReasons = {
  Connected: 'It connected.',
  Disconnected: 'It went away.',
  NotServing: 'It says that it cannot answer requests.',
  FetchFailed: 'Its base model could not be fetched.',
  Fallback: 'No execution provider that was asked for works there; the CPU runs its base model.',
  OtherModel: 'Its base model is not the one that most runtimes have under that name.',
  NoMajority: 'Runtimes do not agree on the base model of that name.',
  Refused: 'It refused parts of its plan.',
  NotEnforced: 'Its version does not know a field of a policy.',
  ManyRemovals: 'It holds removals back.',
} as const;
export type EventReason = keyof typeof eventReasons;
