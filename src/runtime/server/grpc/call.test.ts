import { EventEmitter } from 'node:events';
import { Metadata, type ServerUnaryCall } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { retryAfterMsOf } from '../../../grpc/retry-after.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { fakeParts } from '../testing/parts.ts';
import { exchangeOf, headersOf, toServiceError } from './call.ts';

it.each([
  { left: 0, ends: 'DEADLINE_EXCEEDED' },
  // The client gave up at its deadline, and the network was quick this time.
  { left: 20, ends: 'DEADLINE_EXCEEDED' },
  { left: 1500, ends: 'REQUEST_CANCELLED' },
])('a call of 2 s that is cancelled $left ms before its deadline ends with $ends', ({ left, ends }) => {
  const clock = new FakeClock();
  const deadline = clock.now() + 2000;
  const call = Object.assign(new EventEmitter(), { metadata: new Metadata(), getDeadline: () => deadline });
  const parts = fakeParts({ clock });
  const exchange = exchangeOf(parts, call as unknown as ServerUnaryCall<unknown, unknown>, 'Generate');
  clock.advance(2000 - left - 1);
  call.emit('cancelled');
  expect(exchange.signal.reason).toMatchObject({ code: ends });
});

it('what passes by itself says when to come again, in the header of HTTP and as clients of gRPC read it', () => {
  const { metadata } = toServiceError(new AdaptletError('ENGINE_DOWN', 'killed'));
  expect([metadata.get('retry-after'), retryAfterMsOf(metadata)]).toEqual([['1'], 1000]);
});

it('metadata has the texts that came under its names, whatever these are', () => {
  const metadata = new Metadata();
  metadata.set('x-tag', 'a');
  metadata.add('x-tag', 'b');
  metadata.set('x-bin', Buffer.from('c'));
  metadata.set('__proto__', 'd');
  expect([...headersOf(metadata)]).toEqual([['x-tag', 'a, b']]);
});
