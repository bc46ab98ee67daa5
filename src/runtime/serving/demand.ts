import type { ObjectKey } from '../../api/names.ts';

/**
 * What came of asking for a name: `here`: the plan has it now; `unknown`: there is no such name; `away`: nobody can be
 * asked now; `late`: no answer in time; `busy`: too many names are being asked for.
 */
export type Brought = 'here' | 'unknown' | 'away' | 'late' | 'busy';

/** Brings names that the plan does not have from where it comes from. */
export type Demand = {
  /** Never rejects; ends early with `late` when the signal is aborted. */
  bring(name: ObjectKey, signal: AbortSignal): Promise<Brought>;
  /** A request used the name: it is forgotten later than others. */
  used(name: ObjectKey): void;
};
