import { it } from 'vitest';
import { findOperator } from '../../../src/runtime/engine/ort/operator.ts';

/** The native operator, unless there is none, or this run is of the portable way (`--project portable`). */
export const operator = findOperator(process.env['ADAPTLET_LORA_OPERATOR'] ?? 'auto', (message) => {
  throw new Error(message);
});

/**
 * How far answers of a model in int4 may be from those of its exported graph, over their size: as far as inputs that are rounded to 8 bits
 * bring it, where the operator has products for this processor; else not at all.
 */
export const mostOfExported = operator?.products === undefined ? 0 : 0.05;

/** What only the operator does is no test of a run without. */
export const itWithOperator = (name: string, test: () => Promise<void>): void => {
  if (operator !== undefined) it(name, test);
};
