/** Reasons that the operator gives for an Adapter that is not Resident everywhere, with what each one means. */
export const factReasons = {
  RuntimesNotReady: 'Not every runtime that the rollout applies to has the Adapter Resident.',
  NoRuntime: 'No runtime that the rollout applies to is connected.',
  NameConflict: 'The name of the rollout belongs to an older object: no runtime serves it.',
  InvalidSpec: 'The spec of the Adapter is not valid.',
  NotResolved: 'The digest of the Adapter is not known yet.',
  NotAllowed: 'The policy of the namespace keeps the Adapter out of plans.',
  NotSigned: 'The Adapter is not signed as it has to be, or that is not known yet.',
  NotProtected: 'The Adapter does not have the finalizer yet that keeps it while it is in use.',
  Deleting: 'The Adapter is being deleted.',
} as const;
export type FactReason = keyof typeof factReasons;

/** Reasons of the condition Accepted of an AdapterRollout, with what each one means. */
export const acceptedReasons = {
  Accepted: 'The spec is valid and the name is its own.',
  NameConflict: 'The name belongs to an older object: no runtime serves the rollout.',
} as const;
export type AcceptedReason = keyof typeof acceptedReasons;

/** Reasons of the events that the operator adds to those of src/rollout, with what each one means. */
export const eventReasons = {
  NameConflict: 'The name belongs to an older object.',
  NotSchedulable: 'No runtime can hold the adapter; the note says why, with numbers.',
  RuntimesSetAside: 'A runtime failed and the rollout goes on without it; the note names it.',
  InvalidSpec: 'The rollout cannot be read: nothing is decided about it until it can.',
  RequestRefused: 'The annotation adaptlet.io/request is not <verb>@<id>.',
} as const;
