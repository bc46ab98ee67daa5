import type { StepAge } from '../protocol.ts';

/** A step that takes so many times as long as it should does not end any more. */
const times = 20;

/**
 * Milliseconds after which a step counts as hung: 20 times what it should take, and never less than the stall timeout. Before
 * any was measured, 20 stall timeouts: the first one may read all weights from the disk.
 */
export const stepLimitMs = ({ expectedMs }: StepAge, stallTimeoutMs: number): number =>
  expectedMs === undefined ? times * stallTimeoutMs : Math.max(stallTimeoutMs, times * expectedMs);
