import { afterAll, beforeAll, expect, it } from 'vitest';
import { folderOfTests } from '../support/temporary-folder.ts';
import { aroundSteps, endless, TestHost } from './support/host.ts';
import { tinyModel } from './support/tiny.ts';

const cache = folderOfTests();
let host: TestHost;
beforeAll(async () => {
  host = await TestHost.tiny(tinyModel('fp32'), { maxConcurrent: 1 }, cache);
});
afterAll(() => host.close());

it('a piece of a prompt that ends for what is guaranteed to another namespace is computed again, with the same bits', async () => {
  const both = await TestHost.tiny(tinyModel('fp32'), { maxConcurrent: 2 }, cache);
  const long = endless('upper', 'red'.repeat(70), 20, { namespace: 'greedy' });
  const sure = endless('reverse', 'moon:', 10, { namespace: 'modest', guaranteed: 1 });
  const [aloneLong, aloneSure] = [await both.ask(long), await both.ask(sure)];
  let ended = 0;
  // A run may be over before it hears that it is to end: then the next one is asked.
  for (let attempt = 0; attempt < 2 || (ended === 0 && attempt < 100); attempt += 1) {
    const piece = 1 + (attempt % 2);
    let asked: ReturnType<TestHost['start']> | undefined;
    let steps = 0;
    const end = aroundSteps((given, prepare) => {
      const run = prepare(given);
      steps += 1;
      if (steps !== piece) return run;
      return async () => {
        const running = run();
        asked = both.start(sure);
        return await running.catch((error: unknown) => {
          ended += 1;
          throw error;
        });
      };
    });
    const greedy = await both.ask(long).finally(end);
    expect(greedy.ids).toEqual(aloneLong.ids);
    expect((await asked?.answer)?.ids).toEqual(aloneSure.ids);
  }
  await both.close();
  expect(ended).toBeGreaterThan(0);
});

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
