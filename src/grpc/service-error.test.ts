import { status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { RetryInfo } from '../gen/google/rpc/error_details.ts';
import { Status } from '../gen/google/rpc/status.ts';
import { serviceErrorOf } from './service-error.ts';

const detailsOf = (error: AdaptletError): Status | undefined => {
  const [bytes] = serviceErrorOf(error).metadata.get('grpc-status-details-bin');
  return Buffer.isBuffer(bytes) ? Status.decode(bytes) : undefined;
};

it.each([
  [31_500, { seconds: 31n, nanos: 500_000_000 }],
  [1, { seconds: 0n, nanos: 1_000_000 }],
  [0.5, { seconds: 0n, nanos: 500_000 }],
])('an error that says to come again after %d ms says so in its details', (retryAfterMs, retryDelay) => {
  const error = new AdaptletError('NAMESPACE_TOKENS', 'used up', { retryAfterMs });
  const details = detailsOf(error);
  expect(details).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    message: error.message,
    details: [{ typeUrl: 'type.googleapis.com/google.rpc.RetryInfo' }],
  });
  expect(RetryInfo.decode(details?.details[0]?.value ?? new Uint8Array())).toEqual({ retryDelay });
});

it('an error that does not has none, and a long message stands in them in part', () => {
  expect(detailsOf(new AdaptletError('REQUEST_INVALID', 'wrong'))).toBeUndefined();
  const long = new AdaptletError('QUEUE_FULL', 'x'.repeat(9000), { retryAfterMs: 1 });
  expect(detailsOf(long)?.message).toHaveLength(512);
});
