import { expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import type { Holds } from '../serving/guard/holds.ts';
import type { StandaloneController } from './controller.ts';
import { standaloneSource } from './source.ts';

const nodeWith = (controller: Partial<StandaloneController>) => {
  const clock = new FakeClock();
  const source = standaloneSource({
    controller: controller as StandaloneController,
    holds: {} as Holds,
    retryAdapter: () => undefined,
    clock,
    manifests: undefined,
    namespace: 'default',
  });
  return { clock, source };
};

it('a node without an operator decides anew about what copies of requests said, at most every two seconds', async () => {
  let decided = 0;
  const { clock, source } = nodeWith({ wake: () => decided++, close: () => undefined });
  for (let i = 0; i < 100; i++) {
    source.mirrored();
    clock.advance(100);
  }
  clock.advance(60_000);
  expect(decided).toBe(5);
  source.mirrored();
  await source.close();
  clock.advance(60_000);
  expect(decided).toBe(5);
});
