import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { buildTable } from '../routing/table.ts';
import { adapter, canaryPlan, dataPathOver, good, key, next, planOf, split } from './data-path.fixture.ts';

describe('the data path with a canary', () => {
  it('answers a request for embeddings by the same routes, counts and guards', async () => {
    const { embed, encoded, counts, holds, references, state } = dataPathOver(canaryPlan, { good, next });
    state.task = 'embed';
    expect((await embed('sql')).served).toMatchObject({ adapter: 'next', digest: next, arm: 'canary' });
    expect(encoded[0]).toMatchObject({ engineName: 'default/next--x', output: 'embedding' });
    expect(counts.ofRollout(key('sql'))).toEqual({ stable: 0, canary: 1 });
    state.fail = new AdaptletError('LOGITS_NOT_FINITE', 'NaN');
    for (let i = 0; i < 2; i++)
      await expect(embed('sql')).rejects.toMatchObject({ code: 'LOGITS_NOT_FINITE' });
    expect(holds.isHeld('r1', next)).toBe(true);
    expect(references.get('next')).toBe(0);
  });

  it.each([false, true])(
    'holds a failing canary from the next request on (failing after the first token: %s)',
    async (late) => {
      const { ask, holds, state } = dataPathOver(canaryPlan, { good, next });
      state.fail = new AdaptletError('INTERNAL', 'it broke');
      state.failAfterFirst = late;
      for (let i = 0; i < 2; i++) await expect(ask('sql')).rejects.toMatchObject({ code: 'INTERNAL' });
      state.fail = undefined;
      expect(holds.isHeld('r1', next)).toBe(true);
      expect((await ask('sql')).served).toMatchObject({ adapter: 'good', arm: 'stable' });
    },
  );

  it('has stable answer the request with which the guard tripped, when nothing of it was sent', async () => {
    const { ask, asked, counts, references, state } = dataPathOver(canaryPlan, { good, next });
    state.failing = 'default/next--x';
    state.fail = new AdaptletError('LOGITS_NOT_FINITE', 'NaN');
    await expect(ask('sql')).rejects.toMatchObject({ code: 'LOGITS_NOT_FINITE' });
    expect((await ask('sql')).served).toMatchObject({ adapter: 'good', digest: good, arm: 'stable' });
    expect(asked.map(({ engineName: name }) => name?.slice(8, 12))).toEqual(['next', 'next', 'good']);
    expect(counts.ofRollout(key('sql'))).toEqual({ stable: 1, canary: 0 });
    expect([references.get('next'), references.get('good')]).toEqual([0, 0]);
  });

  it('has stable answer what waited for the canary when it was held, at once', async () => {
    const { ask, asked, holds, path, references, state } = dataPathOver(canaryPlan, { good, next });
    state.admits = false;
    state.queueing = 'default/next--x';
    const answers = Array.from({ length: 20 }, () => ask('sql'));
    await expect.poll(() => asked.length).toBe(20);
    holds.hold('r1', next, 'BreakGlass', 'by hand');
    const arms = (await Promise.all(answers)).map(({ served }) => served.arm);
    expect(arms).toEqual(Array.from({ length: 20 }, () => 'stable'));
    expect([references.get('next'), references.get('good'), path.inEngine]).toEqual([0, 0, 0]);
  });

  it('has stable answer what waited for a canary that the plan takes back', async () => {
    const { ask, asked, guard, holds, tables, state } = dataPathOver(canaryPlan, { good, next });
    state.admits = false;
    state.queueing = 'default/next--x';
    const answer = ask('sql');
    await expect.poll(() => asked.length).toBe(1);
    tables.now = buildTable(planOf(adapter('good'), adapter('next'), split(0)), { name: 'tiny' });
    guard.follow(new Map([['r1', { guard: { maxConsecutiveErrors: 2 }, weight: 0 }]]));
    expect((await answer).served.arm).toBe('stable');
    expect(holds.all()).toEqual([]);
  });

  it('lets a canary that is held end what it has begun', async () => {
    const { path, holds, request } = dataPathOver(canaryPlan, { good, next });
    const { events, served } = await path.generate(
      { namespace: 'default', model: 'sql', user: 'u1', headers: new Map() },
      request,
      new AbortController().signal,
    );
    holds.hold('r1', next, 'Guard', 'x');
    expect((await Array.fromAsync(events)).at(-1)?.kind).toBe('done');
    expect(served.arm).toBe('canary');
  });

  it('has stable answer what the canary begins in the moment in which it is held', async () => {
    const { ask, holds, references, state } = dataPathOver(canaryPlan, { good, next });
    state.onFirst = () => holds.hold('r1', next, 'Guard', 'x');
    const { served, events } = await ask('sql');
    expect(served.arm).toBe('stable');
    expect(events[0]).toMatchObject({ text: 'default/good--x' });
    expect(references.get('next')).toBe(0);
  });

  it('has no request of a caller who left answered by stable', async () => {
    const { ask, asked, holds, state } = dataPathOver(canaryPlan, { good, next });
    state.admits = false;
    const caller = new AbortController();
    const answer = ask('sql', 'u1', caller.signal);
    await expect.poll(() => asked.length).toBe(1);
    caller.abort();
    holds.hold('r1', next, 'Guard', 'x');
    await expect(answer).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
    expect(asked).toHaveLength(1);
  });

  it('holds a canary whose first tokens take too long, by the time of the engine', async () => {
    const { ask, guard, holds, state } = dataPathOver(canaryPlan, { good, next });
    guard.follow(
      new Map([['r1', { guard: { maxConsecutiveErrors: 2, maxLatency: '100ms', minRequests: 3 } }]]),
    );
    for (const firstTokenMs of [99, 101, 101]) {
      expect(holds.isHeld('r1', next)).toBe(false);
      state.firstTokenMs = firstTokenMs;
      expect((await ask('sql')).served.arm).toBe('canary');
    }
    expect(holds.ofRollout('r1')).toMatchObject([
      { reason: expect.stringContaining('2 of 3 requests took longer') },
    ]);
  });

  it('holds a canary that cannot classify where stable does', async () => {
    const { embed, guard, state, tables } = dataPathOver(canaryPlan, { good, next });
    guard.follow(
      new Map([
        [
          'r1',
          {
            guard: { maxConsecutiveErrors: 2 },
            stable: { adapter: 'good', uid: 'good', digest: good },
            canary: { adapter: 'next', uid: 'next', digest: next, seed: '00', attempt: 1 },
          },
        ],
      ]),
    );
    state.task = 'embed';
    state.failing = 'default/next--x';
    state.fail = new AdaptletError('CLASSIFIER_MISSING', 'no head');
    const askStable = async () => {
      tables.now = buildTable(planOf(adapter('good'), adapter('next'), split(0)), { name: 'tiny' });
      expect((await embed('sql')).served.arm).toBe('stable');
      tables.now = buildTable(canaryPlan, { name: 'tiny' });
    };
    await askStable();
    for (let i = 0; i < 3; i++)
      await expect(embed('sql')).rejects.toMatchObject({ code: 'CLASSIFIER_MISSING' });
    state.classifier = 'default/good--x';
    await askStable();
    await expect(embed('sql')).rejects.toMatchObject({ code: 'CLASSIFIER_MISSING' });
    expect((await embed('sql')).served).toMatchObject({ adapter: 'good', arm: 'stable' });
  });

  it.each(['REQUEST_CANCELLED', 'DEADLINE_EXCEEDED', 'QUEUE_FULL', 'REQUEST_INVALID'] as const)(
    'does not blame a canary for %s',
    async (code) => {
      const { ask, holds, state } = dataPathOver(canaryPlan, { good, next });
      state.fail = new AdaptletError(code, 'not its fault');
      for (let i = 0; i < 5; i++) await expect(ask('sql')).rejects.toMatchObject({ code });
      expect(holds.isHeld('r1', next)).toBe(false);
    },
  );
});
