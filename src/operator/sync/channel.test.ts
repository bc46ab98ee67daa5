import { execFile } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { promisify } from 'node:util';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { Channel } from './channel.ts';
import { Pace } from './pace.ts';

const script = new URL('channel-heap.fixture.ts', import.meta.url).pathname;

/** A call whose other side sends by `emit`. */
class FakeCall extends EventEmitter {
  pause(): void {}
  resume(): void {}
  end(): void {}
  write(): boolean {
    return true;
  }
}

it('hands out nothing of a stream that ended while its pace made a message wait', async () => {
  const clock = new FakeClock();
  const call = new FakeCall();
  const pace = new Pace(clock, { burst: 1, perSecond: 1 });
  const channel = new Channel<string, string>(
    call as unknown as ServerDuplexStream<string, string>,
    clock,
    pace,
  );
  const read = channel.read();
  call.emit('data', 'first');
  expect(await read).toBe('first');
  const waiting = channel.read();
  call.emit('data', 'second');
  await Promise.resolve();
  channel.end(new AdaptletError('DEVICE_REVOKED', 'it was revoked'));
  await expect(waiting).rejects.toMatchObject({ code: 'DEVICE_REVOKED' });
});

it('keeps no message that it handed on, however long the next one takes', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script]);
  // Each of them had a message of 800,000 bytes.
  expect(Number(stdout)).toBeLessThan(50_000);
});
