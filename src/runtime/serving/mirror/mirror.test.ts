import { describe, expect, it } from 'vitest';
import { type Digest, objectKey } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { canary, former, mirrorNode, stable, uid } from './mirror.fixture.ts';
import { copyLimitMs, maxWaiting } from './mirror.ts';
import { maxOverlapMs, overlapShare } from './overlap.ts';

const nan = new AdaptletError('LOGITS_NOT_FINITE', 'NaN');
const full = new AdaptletError('QUEUE_FULL', 'full');
const embedding = (...row: number[]) =>
  ({ kind: 'embedding', rows: [Float32Array.from(row)], promptTokens: 1, truncated: [] }) as const;
const classified = (label: string) =>
  ({
    kind: 'classification',
    labels: ['yes', 'no'],
    rows: [{ label, logits: [], probabilities: [] }],
    promptTokens: 1,
    truncated: [],
  }) as const;

describe('a request that stable answers', () => {
  it('is put to the canary once its answer is complete, and the answers are compared', async () => {
    const node = mirrorNode();
    node.answers.next = { ids: [1, 9, 3] };
    const { served, events } = await node.ask();
    expect(served).toMatchObject({ adapter: 'good', digest: stable, arm: 'stable' });
    expect(events.flatMap((event) => (event.kind === 'token' ? event.ids : []))).toEqual([1, 2, 3]);
    await expect.poll(() => node.counts()).toMatchObject({ requests: 1, compared: 1, equal: 0 });
    expect(node.counts()?.similarity).toBeCloseTo(2 / 3);
    expect(node.tally.copies.totals()).toMatchObject({ different: 1, equal: 0 });
    expect(node.tally.served.ofRollout(objectKey('default', 'sql'))).toEqual({ stable: 1, canary: 0 });
    expect(node.state.leases).toBe(0);
  });

  it('is not put to it before: the canary knows nothing of an answer that is under way', async () => {
    const node = mirrorNode();
    const { events } = await node.begin();
    const reader = events[Symbol.asyncIterator]();
    for (let i = 0; i < 4; i++) await reader.next();
    expect(node.copies()).toEqual([]);
    await reader.next();
    expect(node.copies()).toHaveLength(1);
  });

  it('is the same request, of another namespace with the least priority, without session, probabilities and echo', async () => {
    const node = mirrorNode();
    const seeded = { temperature: 0.7, topP: 0.9, topK: 3, seed: 5 };
    await node.ask(seeded, { session: 's', priority: 900, tenant: 't' });
    const [original, copy] = node.asked;
    expect(original).toMatchObject({ engineName: 'good', tenant: 't', priority: 900, logprobs: 2 });
    expect(original).toHaveProperty('echo');
    expect(copy).toEqual({
      requestId: `${original?.requestId}-mirror`,
      engineName: 'next',
      prompt: original?.prompt,
      maxTokens: 4,
      stop: ['END'],
      sampling: seeded,
      namespace: 'adaptlet.io/mirror',
      tenant: '',
      priority: -1000,
    });
  });

  it.each([
    ['greedy', { temperature: 0, topP: 1, topK: 0 }, { compared: 1, equal: 1 }, 'equal'],
    ['with a seed', { temperature: 1, topP: 1, topK: 0, seed: 1 }, { compared: 1, equal: 1 }, 'equal'],
    ['by chance', { temperature: 1, topP: 1, topK: 0 }, { compared: 0, equal: 0 }, 'unchecked'],
  ] as const)(
    'is compared by its tokens where they are no matter of chance: %s',
    async (_, sampling, counts, result) => {
      const node = mirrorNode();
      await node.ask(sampling);
      await expect.poll(() => node.counts()).toMatchObject({ requests: 1, ...counts });
      expect(node.tally.copies.totals()[result]).toBe(1);
    },
  );

  it('is compared by the time to its first token, where stable read all of the prompt', async () => {
    const node = mirrorNode();
    node.answers.good = { ids: [1], firstTokenMs: 20 };
    node.answers.next = { ids: [1], firstTokenMs: 30 };
    await node.ask();
    await expect.poll(() => node.counts()).toMatchObject({ timed: 1, stableMs: 20, canaryMs: 30 });
    node.answers.good = { ids: [1], firstTokenMs: 2, cachedTokens: 90 };
    await node.ask();
    await expect.poll(() => node.counts()).toMatchObject({ requests: 2, timed: 1, stableMs: 20 });
  });

  it.each([
    ['embeddings', embedding(1, 0), embedding(1, 1), { compared: 1, equal: 0 }],
    [
      'the same classification',
      classified('yes'),
      classified('yes'),
      { compared: 1, equal: 1, similarity: 1 },
    ],
    ['another classification', classified('yes'), classified('no'), { compared: 1, equal: 0, similarity: 0 }],
  ])('is mirrored when it asks for %s', async (_, good, next, counts) => {
    const node = mirrorNode();
    node.answers.good = { encoded: good };
    node.answers.next = { encoded: next };
    expect((await node.embed()).result).toBe(good);
    await expect.poll(() => node.counts()).toMatchObject({ requests: 1, timed: 0, ...counts });
  });

  it('fails for a canary that has no head where stable classifies', async () => {
    const node = mirrorNode({ guard: { maxConsecutiveErrors: 1 } });
    node.answers.good = { encoded: classified('yes') };
    node.answers.next = { fail: new AdaptletError('CLASSIFIER_MISSING', 'no head') };
    await node.embed();
    await expect.poll(() => node.holds.isHeld(uid, canary)).toBe(true);
    expect(node.counts()).toMatchObject({ requests: 1, failed: 1 });
  });
});

describe('which requests have no copy', () => {
  it.each<[string, Parameters<typeof mirrorNode>[0]]>([
    ['the plan mirrors nothing', { mirror: undefined }],
    ['the canary answers itself', { weight: 100 }],
    ['there is no canary', { canary: undefined }],
  ])('none where %s', async (_, change) => {
    const node = mirrorNode(change);
    await node.ask();
    expect([node.asked.length, node.counts()]).toEqual([1, undefined]);
  });

  it('one in ten at ten percent', async () => {
    const node = mirrorNode({ mirror: 10 });
    for (let i = 0; i < 500; i++) {
      await node.ask();
      await expect.poll(() => node.state.leases, { interval: 1 }).toBe(0);
    }
    const { requests = 0, dropped = 0 } = node.counts() ?? {};
    expect(dropped).toBe(0);
    expect(Math.abs(requests / 500 - 0.1)).toBeLessThan(0.05);
  });

  it('one whose client left has none, and does not count', async () => {
    const node = mirrorNode();
    const { events } = await node.begin();
    for await (const _ of events) break;
    await node.ask();
    await expect.poll(() => node.counts()).toMatchObject({ requests: 1, dropped: 0 });
    expect(node.copies()).toHaveLength(1);
  });

  it('one that stable failed has none', async () => {
    const node = mirrorNode();
    node.answers.good = { fail: nan };
    await expect(node.ask()).rejects.toMatchObject({ code: 'LOGITS_NOT_FINITE' });
    expect([node.copies(), node.counts()]).toEqual([[], undefined]);
  });

  it('one that the stable before answered, while a person holds stable back, has none', async () => {
    const node = mirrorNode({ former: { adapter: 'old', uid: 'old', digest: former } });
    node.holds.hold(uid, stable, 'BreakGlass', 'by hand', { arm: 'stable' });
    expect((await node.ask()).served.digest).toBe(former);
    expect(node.copies()).toEqual([]);
  });
});

describe('what copies may cost', () => {
  it('is one at a time, a few that wait, and the rest is dropped', async () => {
    const node = mirrorNode();
    const gate = node.close();
    for (let i = 0; i < maxWaiting + 4; i++) await node.ask();
    expect(node.copies()).toHaveLength(1);
    expect(node.counts()).toMatchObject({ requests: 0, dropped: 3 });
    gate.resolve();
    await expect.poll(() => node.counts()).toMatchObject({ requests: 1 + maxWaiting, dropped: 3 });
    expect([node.state.most, node.state.leases]).toEqual([1, 0]);
  });

  it('leaves a place free: a copy is taken back when requests need the place beside it', async () => {
    const node = mirrorNode();
    node.state.maxConcurrent = 3;
    node.close();
    await node.ask();
    expect(node.copies()).toHaveLength(1);
    const first = await node.begin();
    expect(node.counts()).toBeUndefined();
    const second = await node.begin();
    await expect.poll(() => node.counts()).toMatchObject({ requests: 0, dropped: 1 });
    expect(node.holds.isHeld(uid, canary)).toBe(false);
    await Promise.all([Array.fromAsync(first.events), Array.fromAsync(second.events)]);
  });

  it('waits while there is no place beside it, and goes on when there is', async () => {
    const node = mirrorNode();
    node.state.maxConcurrent = 2;
    const other = await node.begin();
    await node.ask();
    expect(node.copies()).toEqual([]);
    await Array.fromAsync(other.events);
    await expect.poll(() => node.counts()).toMatchObject({ requests: 2, dropped: 0 });
  });

  it('is a small share of the time beside requests: a copy is taken back when that is over', async () => {
    const node = mirrorNode({ guard: { maxConsecutiveErrors: 1 } });
    node.close();
    await node.ask();
    const other = await node.begin();
    node.clock.advance(maxOverlapMs);
    expect(node.counts()).toBeUndefined();
    node.clock.advance(maxOverlapMs * overlapShare * 2);
    await expect.poll(() => node.counts()).toMatchObject({ requests: 0, dropped: 1 });
    // What waits begins when nothing else is there, at once.
    node.state.gate = undefined;
    await Array.fromAsync(other.events);
    await expect.poll(() => node.counts()).toMatchObject({ requests: 1, dropped: 1 });
    expect(node.holds.isHeld(uid, canary)).toBe(false);
  });

  it('does not begin beside requests before enough time was saved up', async () => {
    const node = mirrorNode();
    const gate = node.close();
    await node.ask();
    const other = await node.begin();
    node.clock.advance(maxOverlapMs * 0.8);
    gate.resolve();
    await expect.poll(() => node.counts()).toMatchObject({ requests: 1 });
    await node.ask();
    node.clock.advance(1000);
    expect(node.copies()).toHaveLength(1);
    for (let ms = 0; ms < maxOverlapMs / overlapShare; ms += 1000) {
      node.clock.advance(1000);
      await new Promise(setImmediate);
    }
    expect(node.counts()).toMatchObject({ requests: 2, dropped: 0 });
    await Array.fromAsync(other.events);
  });

  it('counts that time from where a copy begins beside a request to where it ends', async () => {
    const node = mirrorNode();
    const other = await node.begin();
    await node.ask();
    await expect.poll(() => node.counts()).toMatchObject({ requests: 1 });
    node.clock.advance(10 * maxOverlapMs);
    node.close();
    await node.ask();
    expect(node.copies()).toHaveLength(2);
    node.clock.advance(maxOverlapMs * 1.1);
    await expect.poll(() => node.counts()).toMatchObject({ requests: 1, dropped: 1 });
    await Array.fromAsync(other.events);
  });

  it('costs no time of that while no request is there', async () => {
    const node = mirrorNode();
    node.close();
    await node.ask();
    node.clock.advance(copyLimitMs - 1);
    const other = await node.begin();
    expect(node.counts()).toBeUndefined();
    node.clock.advance(1);
    await expect.poll(() => node.counts()).toMatchObject({ dropped: 1 });
    await Array.fromAsync(other.events);
  });

  it('is nothing at all while requests wait in the engine', async () => {
    const node = mirrorNode();
    node.state.waiting = 1;
    await node.ask();
    node.clock.advance(10_000);
    expect(node.copies()).toEqual([]);
    node.state.waiting = 0;
    node.clock.advance(1000);
    await expect.poll(() => node.counts()).toMatchObject({ requests: 1 });
  });

  it('is bounded in time: a copy that takes too long is dropped, and nobody is blamed', async () => {
    const node = mirrorNode({ guard: { maxConsecutiveErrors: 1 } });
    node.close();
    await node.ask();
    node.clock.advance(copyLimitMs - 1);
    expect(node.counts()).toBeUndefined();
    node.clock.advance(1);
    await expect.poll(() => node.counts()).toMatchObject({ requests: 0, dropped: 1 });
    expect(node.holds.isHeld(uid, canary)).toBe(false);
  });

  it.each<[string, (node: ReturnType<typeof mirrorNode>) => void]>([
    ['the canary has left the RAM', ({ state }) => (state.isResident = false)],
    ['the engine is down', ({ state }) => (state.engine = 'down')],
    ['the engine is full', ({ answers }) => (answers.next = { fail: full })],
  ])('is a dropped copy where %s', async (_, happens) => {
    const node = mirrorNode({ guard: { maxConsecutiveErrors: 1 } });
    happens(node);
    await node.ask();
    await expect.poll(() => node.counts()).toMatchObject({ requests: 0, dropped: 1 });
    expect([node.holds.isHeld(uid, canary), node.state.leases]).toEqual([false, 0]);
  });
});

describe('a canary that cannot answer copies', () => {
  it('is held by its guard, without any client having been hurt', async () => {
    const node = mirrorNode();
    node.answers.next = { fail: nan };
    for (let i = 0; i < 3; i++) {
      expect((await node.ask()).served.arm).toBe('stable');
      await expect.poll(() => node.state.leases).toBe(0);
    }
    await expect.poll(() => node.holds.ofRollout(uid)).toMatchObject([{ digest: canary, cause: 'Guard' }]);
    expect(node.holds.ofRollout(uid)[0]?.reason).toContain('2 consecutive errors');
    // The third request had no copy any more.
    expect([node.copies().length, node.counts()?.failed]).toEqual([2, 2]);
    expect(node.tally.splits.reports(uid, canary, 1)).toEqual([]);
  });

  it('starts its row of errors anew when it answers one', async () => {
    const node = mirrorNode();
    for (const fail of [nan, undefined, nan, undefined]) {
      node.answers.next = fail === undefined ? { ids: [1] } : { fail };
      await node.ask();
      await expect.poll(() => node.state.leases).toBe(0);
    }
    await expect.poll(() => node.counts()).toMatchObject({ requests: 4, failed: 2 });
    expect(node.holds.isHeld(uid, canary)).toBe(false);
  });

  it('is held when it is slower than its guard allows, as with requests', async () => {
    const node = mirrorNode({ guard: { maxConsecutiveErrors: 5, maxLatency: '100ms', minRequests: 2 } });
    node.answers.good = { ids: [1], firstTokenMs: 10 };
    node.answers.next = { ids: [1], firstTokenMs: 200 };
    for (let i = 0; i < 2; i++) {
      await node.ask();
      await expect.poll(() => node.counts()?.requests).toBe(i + 1);
    }
    expect(node.holds.ofRollout(uid)[0]?.reason).toContain('took longer than 100 ms');
  });
});

describe('the end of mirroring', () => {
  const ends: readonly [string, (node: ReturnType<typeof mirrorNode>) => void][] = [
    ['the canary is held', ({ holds }) => holds.hold(uid, canary, 'BreakGlass', 'by hand')],
    ['the plan mirrors nothing any more', ({ follow }) => follow({ mirror: undefined })],
    ['the plan has no canary any more', ({ follow }) => follow({ canary: undefined })],
    [
      'another attempt begins',
      ({ follow }) =>
        follow({ canary: { adapter: 'next', uid: 'next', digest: canary, seed: 'aa', attempt: 2 } }),
    ],
    [
      'another canary comes',
      ({ follow }) =>
        follow({
          canary: {
            adapter: 'x',
            uid: 'x',
            digest: `sha256:${'d'.repeat(64)}` as Digest,
            seed: 'aa',
            attempt: 2,
          },
        }),
    ],
    ['the runtime closes', ({ mirror }) => mirror.close()],
  ];
  it.each(ends)('takes back the copy that is under way and those that wait: %s', async (_, end) => {
    const node = mirrorNode();
    node.close();
    await node.ask();
    await node.ask();
    expect([node.copies().length, node.state.leases]).toEqual([1, 1]);
    end(node);
    await expect.poll(() => node.state.leases).toBe(0);
    expect(node.copies()).toHaveLength(1);
    expect(node.counts()?.requests ?? 0).toBe(0);
  });

  it('leaves a copy alone when the plan only moves a weight or the percentage', async () => {
    const node = mirrorNode();
    const gate = node.close();
    await node.ask();
    node.follow({ mirror: 5 });
    node.follow({ weight: 20, mirror: 50 });
    gate.resolve();
    await expect.poll(() => node.counts()).toMatchObject({ requests: 1, dropped: 0 });
  });

  it('forgets the counts of a rollout that is gone, and begins anew with another attempt', async () => {
    const node = mirrorNode();
    await node.ask();
    await expect.poll(() => node.counts()).toMatchObject({ requests: 1 });
    node.follow({ canary: { adapter: 'next', uid: 'next', digest: canary, seed: 'aa', attempt: 2 } });
    expect(node.counts(2)).toBeUndefined();
    await node.ask();
    await expect.poll(() => node.counts(2)).toMatchObject({ requests: 1 });
    expect(node.counts(1)).toBeUndefined();
    node.remove();
    expect(node.counts(2)).toBeUndefined();
  });
});
