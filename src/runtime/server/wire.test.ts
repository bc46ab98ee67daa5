import { expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { retryAfterOf } from './wire.ts';

it.each([
  ['what knows when says it', new AdaptletError('QUEUE_FULL', 'full', { retryAfterMs: 2500 }), '3'],
  ['less than a second is one', new AdaptletError('QUEUE_FULL', 'full', { retryAfterMs: 1 }), '1'],
  ['what passes by itself has a second', new AdaptletError('ENGINE_DOWN', 'killed'), '1'],
  [
    'a limit that waiting does not help has none',
    new AdaptletError('NAMESPACE_KV_MEMORY', 'too much'),
    undefined,
  ],
  ['a request that is wrong has none', new AdaptletError('REQUEST_INVALID', 'bad'), undefined],
])('retry-after: %s', (_, error, seconds) => {
  expect(retryAfterOf(error)).toBe(seconds);
});
