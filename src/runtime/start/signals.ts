import { EventEmitter } from 'node:events';

/**
 * What parts of a runtime tell those that are made after them. Whoever tells knows only this; who listens is said in one
 * place, when all are made (runtime.ts). Listeners are called at once.
 */
export type Signals = EventEmitter<{
  /** A canary lost its traffic on this node, or a stable got its own back. */
  held: [];
  /** The disk has the record of a canary on trial: it may answer now. */
  admitted: [];
  /** Another plan is in force. */
  planned: [];
  /** A request of a rollout was counted. */
  counted: [];
  /** A copy of a request was counted. */
  mirrored: [];
  /** A classifier of a route may be able to answer now, or not any more. */
  classified: [];
}>;

export const createSignals = (): Signals => new EventEmitter();
