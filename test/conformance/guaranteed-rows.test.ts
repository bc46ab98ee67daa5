import { afterAll, beforeAll, expect, it } from 'vitest';
import { aroundSteps, endless, TestHost } from './support/host.ts';
import { scratch, tinyModel } from './support/tiny.ts';

const cache = scratch();
let host: TestHost;
beforeAll(async () => {
  host = await TestHost.tiny(tinyModel('fp32'), { maxConcurrent: 1 }, cache);
});
afterAll(() => host.close());

it('a prompt that makes way for what is guaranteed to another namespace goes on, and gives what it gives alone', async () => {
  const long = endless('upper', 'red'.repeat(60), 20, { namespace: 'greedy', scope: 'greedy' });
  const sure = endless('reverse', 'moon:', 10, { namespace: 'modest', guaranteed: 1 });
  const { scope: _, ...without } = long;
  const [aloneLong, aloneSure] = [await host.ask(without), await host.ask(sure)];

  const before = host.host.now().preemptions;
  let asked: ReturnType<TestHost['start']> | undefined;
  let steps = 0;
  const end = aroundSteps((given, prepare) => {
    steps += 1;
    // While the first piece of its prompt is computed.
    if (steps === 1) asked = host.start(sure);
    return prepare(given);
  });
  const greedy = await host.ask(long).finally(end);
  expect(host.host.now().preemptions).toBe(before + 1);
  expect((await asked?.answer)?.ids).toEqual(aloneSure.ids);
  expect(greedy.ids).toEqual(aloneLong.ids);
  // What it computed itself before is not of others.
  expect(greedy.done.cachedTokens ?? 0).toBe(0);
});
