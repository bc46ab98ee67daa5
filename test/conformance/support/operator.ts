import { it } from 'vitest';
import { findOperator } from '../../../src/runtime/engine/ort/operator.ts';

/** The native operator, unless there is none, or this run is of the portable way (`--project portable`). */
export const operator = findOperator(process.env['ADAPTLET_LORA_OPERATOR'] ?? 'auto', (message) => {
  throw new Error(message);
});

/** What only the operator does is no test of a run without. */
export const itWithOperator = (name: string, test: () => Promise<void>): void => {
  if (operator !== undefined) it(name, test);
};
