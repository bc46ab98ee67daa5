import { describe, expect, it } from 'vitest';
import type { Digest } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { SplitResource } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import {
  adapter,
  baseDigest,
  dataPathOver,
  good,
  key,
  next,
  planOf,
  route,
  split,
} from './data-path.fixture.ts';

const nan = new AdaptletError('LOGITS_NOT_FINITE', 'NaN');
const body = (change: Partial<SplitResource['body']>): SplitResource => {
  const found = split(0);
  if (found.type !== 'Split') throw new Error('not a split');
  const { canary: _, ...rest } = found.body;
  return { ...found, body: { ...rest, ...change } };
};
const former = { adapter: 'next', uid: 'next', digest: next };

/** A rollout whose stable is `good`, and a clock that tests move. */
const world = (
  change: Partial<SplitResource['body']>,
  resident: Readonly<Record<string, Digest>> = { good, next },
) => {
  const resource = body(change);
  const made = dataPathOver(
    planOf(
      adapter('good'),
      adapter('next'),
      resource,
      route([
        {
          name: 'only',
          matches: [],
          targets: [{ rollout: 'sql', weight: 100 }],
          hashOn: 'User',
          fallback: [],
        },
      ]),
    ),
    resident,
  );
  made.guard.follow(new Map([['r1', resource.body]]));
  const { clock } = made;
  if (!(clock instanceof FakeClock)) throw new Error('not a fake clock');
  const breakStable = async () => {
    made.state.fail = nan;
    made.state.failing = 'default/good--x';
    await expect(made.ask('sql')).rejects.toMatchObject({ code: 'LOGITS_NOT_FINITE' });
    return await made.ask('sql').catch((error: unknown) => error);
  };
  return { ...made, clock, breakStable };
};

describe('the data path with a stable that fails again and again', () => {
  it('has the version before it answer, also the request with which that was found out', async () => {
    const { ask, breakStable, holds, references } = world({ former });
    expect(await breakStable()).toMatchObject({
      served: { adapter: 'next', digest: next, arm: 'stable', rollout: 'sql' },
    });
    expect((await ask('sql')).served.adapter).toBe('next');
    expect(holds.all()).toMatchObject([
      {
        digest: good,
        arm: 'stable',
        cause: 'Guard',
        reason: expect.stringContaining('2 consecutive errors'),
      },
    ]);
    expect([references.get('good'), references.get('next')]).toEqual([0, 0]);
  });

  it('has the base model answer, which says so, only where the rollout allows it and no version can', async () => {
    const { ask, breakStable, asked, counts } = world({ fallbackToBase: true });
    expect(await breakStable()).toMatchObject({
      served: { adapter: '', digest: baseDigest, arm: 'base', rollout: 'sql' },
    });
    expect((await ask('front')).served).toMatchObject({ arm: 'base', rollout: 'sql', rule: 'only' });
    expect(asked.at(-1)?.engineName).toBeNull();
    expect(counts.ofRollout(key('sql'))).toEqual({ stable: 0, canary: 0 });
  });

  it('goes on to the base model when the version before it fails as well', async () => {
    const { ask, breakStable, holds, state } = world({ former, fallbackToBase: true });
    await breakStable();
    state.failing = 'default/next--x';
    await expect(ask('sql')).rejects.toMatchObject({ code: 'NO_VERSION_SERVES', cause: nan });
    expect((await ask('sql')).served).toMatchObject({ arm: 'base' });
    expect(holds.all().map(({ digest }) => digest)).toEqual([good, next]);
  });

  it('keeps asking stable where nothing else may answer, and tells what is broken and what to do', async () => {
    const { ask, breakStable, holds, state } = world({});
    expect(await breakStable()).toMatchObject({ code: 'LOGITS_NOT_FINITE' });
    expect(holds.isHeld('r1', good)).toBe(true);
    const error = await ask('sql').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'NO_VERSION_SERVES', cause: nan });
    expect(error instanceof Error && error.message).toMatch(
      /^rollout default\/sql: good@a+ \(stable\): 2 consecutive errors.*; there is no version before it; spec\.fallbackToBase does not allow the base model; default\/good: NaN.*undo/s,
    );
    state.fail = undefined;
    expect((await ask('sql')).served).toMatchObject({ adapter: 'good', arm: 'stable' });
    expect(holds.all()).toEqual([]);
  });

  it('gives stable its traffic back when one request, after a while, is answered by it', async () => {
    const { ask, breakStable, clock, holds, state, asked } = world({ former });
    await breakStable();
    clock.advance(4_999);
    expect((await ask('sql')).served.adapter).toBe('next');
    clock.advance(1);
    // Still broken: the caller does not notice, and the next trial is later.
    const before = asked.length;
    expect((await ask('sql')).served.adapter).toBe('next');
    expect(asked.slice(before).map(({ engineName: name }) => name)).toEqual([
      'default/good--x',
      'default/next--x',
    ]);
    state.fail = undefined;
    clock.advance(9_999);
    expect((await ask('sql')).served.adapter).toBe('next');
    clock.advance(1);
    expect((await ask('sql')).served).toMatchObject({ adapter: 'good', arm: 'stable' });
    expect(holds.all()).toEqual([]);
  });

  it('lets only one request try stable at a time', async () => {
    const { ask, breakStable, clock, state, asked } = world({ former });
    await breakStable();
    clock.advance(5_000);
    state.fail = undefined;
    state.admits = false;
    state.queueing = 'default/good--x';
    const trial = new AbortController();
    const waiting = ask('sql', 'u1', trial.signal);
    await expect.poll(() => asked.at(-1)?.engineName).toBe('default/good--x');
    expect((await ask('sql')).served.adapter).toBe('next');
    trial.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
  });

  it.each([
    ['and no version before it', {}, 'there is no version before it'],
    ['and neither can the one before it', { former }, 'next@bbbbbbbbbbbb (the one before): ADAPTER_SHAPE'],
  ])('says which versions were refused, where stable was refused for good %s', async (_, change, says) => {
    const { ask, state } = world(change, {});
    state.refuse.set(key('good'), new AdaptletError('ADAPTER_NO_EFFECT', 'same as base'));
    state.refuse.set(key('next'), new AdaptletError('ADAPTER_SHAPE', 'q_proj'));
    const error = await ask('sql').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'NO_VERSION_SERVES', message: expect.stringContaining(says) });
    expect(error).toMatchObject({
      message: expect.stringContaining('(stable): ADAPTER_NO_EFFECT: same as base'),
    });
  });

  it('tells what is wrong with stable when the version before it does not come either', async () => {
    const { ask, breakStable, state } = world({ former }, { good });
    await breakStable();
    state.refuse.set(key('next'), new AdaptletError('FETCH_STALLED', 'no progress'));
    await expect(ask('sql')).rejects.toMatchObject({
      code: 'NO_VERSION_SERVES',
      message: expect.stringMatching(/good@a+ \(stable\): 2 consecutive errors.*default\/next: no progress/s),
    });
    state.refuse.clear();
    expect((await ask('sql')).served.adapter).toBe('next');
  });

  it('does not blame stable for what is the fault of a caller', async () => {
    const { ask, holds, state } = world({ former });
    state.fail = new AdaptletError('REQUEST_INVALID', 'no');
    for (let i = 0; i < 5; i++) await expect(ask('sql')).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    expect(holds.all()).toEqual([]);
  });
});
