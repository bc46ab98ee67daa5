import { crc32 } from 'node:zlib';
import { byteMutators } from './bytes.ts';
import type { Mutator } from './choices.ts';
import { json } from './json.ts';

/** Changes what a state file says, and sums it again. */
export const checkedState: Mutator = (bytes, choices, other) => {
  let body: unknown;
  try {
    ({ body } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { body?: unknown });
  } catch {
    body = undefined;
  }
  if (typeof body !== 'string') return choices.pick(byteMutators)(bytes, choices, other);
  const changed = Buffer.from(json(Buffer.from(body), choices, other)).toString('utf8');
  return Buffer.from(JSON.stringify({ format: 1, crc32: crc32(changed), body: changed }));
};
