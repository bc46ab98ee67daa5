import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it, vi } from 'vitest';
import type * as hello from './hello.ts';
import { adapter, Stage } from './stage.fixture.ts';

/** Lists of what a runtime holds that were read from Hellos. */
const lists: WeakRef<object>[] = [];
vi.mock('./hello.ts', async (original) => {
  const actual = await original<typeof hello>();
  const readHello: typeof actual.readHello = (message) => {
    const read = actual.readHello(message);
    lists.push(new WeakRef(read.held));
    return read;
  };
  return { ...actual, readHello };
});

const stage = new Stage();

it('lets the list of a Hello go while the stream lasts', async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  stage.replica.objects.adapters.put(adapter('a'));
  const runtime = await stage.connected({ held: [{ key: 'AdapterSpec team-a/a', version: 'v' }] });
  await stage.eventually('a commit', () => runtime.commits === 1);
  runtime.ack(1n);
  await stage.quiet();
  for (let turn = 0; turn < 5; turn += 1) {
    await setImmediate();
    gc();
  }
  expect(runtime.ended).toBeUndefined();
  expect(lists.map((list) => list.deref())).toEqual([undefined]);
});
