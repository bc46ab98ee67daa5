import { Metadata } from '@grpc/grpc-js';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { retryAfterMsOf } from './retry-after.ts';
import { serviceErrorOf } from './service-error.ts';

it.each([1, 999, 1500, 60_000])('reads what an error says of %d ms', (retryAfterMs) => {
  const { metadata } = serviceErrorOf(new AdaptletError('REPLICA_UNAVAILABLE', 'later', { retryAfterMs }));
  expect(retryAfterMsOf(metadata)).toBe(retryAfterMs);
});

it('reads nothing where nothing is said', () => {
  expect(retryAfterMsOf(new Metadata())).toBeUndefined();
  expect(
    retryAfterMsOf(serviceErrorOf(new AdaptletError('REPLICA_UNAVAILABLE', 'gone')).metadata),
  ).toBeUndefined();
});

it('takes any bytes for a time that is usable, or for none', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const trailers = new Metadata();
      trailers.set('grpc-status-details-bin', Buffer.from(bytes));
      const ms = retryAfterMsOf(trailers);
      expect(ms === undefined || (Number.isFinite(ms) && ms > 0)).toBe(true);
    }),
  );
});
