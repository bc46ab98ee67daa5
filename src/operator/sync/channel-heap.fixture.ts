import { EventEmitter } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { FakeClock } from '../../time/fake-clock.ts';
import { Channel } from './channel.ts';

/**
 * For a process of its own: `node --expose-gc channel-heap.fixture.ts`. Prints the bytes of heap for each of 50 streams
 * that had one message of 100,000 numbers, and wait for the next one.
 */
const streams = 50;

class FakeCall extends EventEmitter {
  pause(): void {}
  resume(): void {}
}
const heap = (): number => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
};

let seen = 0;
const clock = new FakeClock();
const calls = Array.from({ length: streams }, () => {
  const call = new FakeCall();
  const channel = new Channel<number[], string>(
    call as unknown as ServerDuplexStream<number[], string>,
    clock,
  );
  void channel.each((message) => {
    seen += message.length;
  });
  return call;
});
await setImmediate();
const before = heap();
for (const call of calls) {
  call.emit(
    'data',
    Array.from({ length: 100_000 }, (_, at) => at + 0.5),
  );
  await setImmediate();
}
await setImmediate();
const after = heap();
if (seen !== streams * 100_000) throw new Error(`${seen} numbers came`);
process.stdout.write(`${(after - before) / streams}\n`);
if (calls.length === 0) throw new Error('the streams were collected');
