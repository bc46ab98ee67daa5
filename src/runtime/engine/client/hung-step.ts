import type { StepAge } from '../protocol.ts';

/** A step that takes so many times as long as it should does not end any more. */
const times = 20;
/** What it should take is the slowest of others: it is not killed before so many times that, however long that is. */
const leastTimes = 3;

/**
 * Milliseconds after which a step counts as hung: 20 times what it should take, and never less than the stall timeout. Before
 * any like it was measured, 20 stall timeouts: the first one may read all weights from the disk. Later ones may take no longer than
 * the first, unless they should take a third of that and more: then three times what they should.
 */
export const stepLimitMs = ({ expectedMs }: StepAge, stallTimeoutMs: number): number => {
  const firstMs = times * stallTimeoutMs;
  if (expectedMs === undefined) return firstMs;
  return Math.max(stallTimeoutMs, leastTimes * expectedMs, Math.min(firstMs, times * expectedMs));
};
