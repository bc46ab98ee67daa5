import { once } from 'node:events';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Bandwidth } from '../../time/bandwidth.ts';
import { systemClock } from '../../time/clock.ts';
import { sendFile } from './send-file.ts';

const bytes = 4 << 20;

it('reads nothing of a file for who is gone already', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-send-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'blob');
  await writeFile(path, Buffer.alloc(bytes));
  const plan = { windows: [], otherwise: Number.POSITIVE_INFINITY, timeZone: 'UTC' };
  const outcome = Promise.withResolvers<unknown>();
  let sent = 0;
  const server = createServer((_, response) => {
    client.destroy();
    const work = async (): Promise<void> => {
      await once(response, 'close');
      await using file = await open(path, 'r');
      await sendFile(file, { from: 0, to: bytes - 1 }, response, {
        clock: systemClock,
        bandwidth: new Bandwidth(plan, systemClock),
        drainMs: 1_000,
        sent: (count) => {
          sent += count;
        },
      });
    };
    work().then(() => outcome.resolve(undefined), outcome.resolve);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => undefined).write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  expect(await outcome.promise).toBeInstanceOf(Error);
  expect(sent).toBe(0);
});
