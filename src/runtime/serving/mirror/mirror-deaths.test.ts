import { expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { canary, mirrorNode, uid } from './mirror.fixture.ts';
import { copyLimitMs } from './mirror.ts';

/** The engine ends under the copy for the canary, while it works on this version. */
const copyThatEnds = async (engineName: 'good' | 'next'): Promise<ReturnType<typeof mirrorNode>> => {
  const node = mirrorNode({ guard: { maxConsecutiveErrors: 1 } });
  node.guard.engineDied(new Map([['some', { engineName, events: 1 }]]));
  node.answers.next = { fail: new AdaptletError('ENGINE_DOWN', 'killed') };
  await node.ask();
  return node;
};

it('a copy under which the engine ended with another version is dropped, and counts against nobody', async () => {
  const node = await copyThatEnds('good');
  await expect.poll(() => node.counts()).toMatchObject({ requests: 0, dropped: 1 });
  expect(node.holds.isHeld(uid, canary)).toBe(false);
});

it('a canary with which alone the engine ended, under a copy, is held', async () => {
  const node = await copyThatEnds('next');
  await expect.poll(() => node.holds.isHeld(uid, canary)).toBe(true);
});

it('a canary with which alone the engine ended, under a copy that was taken back, is held', async () => {
  const node = mirrorNode({ guard: { maxConsecutiveErrors: 1 } });
  node.close();
  await node.ask();
  await expect.poll(() => node.copies()).toHaveLength(1);
  node.clock.advance(copyLimitMs);
  await expect.poll(() => node.counts()).toMatchObject({ dropped: 1 });
  expect(node.holds.isHeld(uid, canary)).toBe(false);
  const requestId = node.copies()[0]?.requestId ?? '';
  node.guard.engineDied(new Map([[requestId, { engineName: 'next', events: 0 }]]));
  await expect.poll(() => node.holds.isHeld(uid, canary)).toBe(true);
});
