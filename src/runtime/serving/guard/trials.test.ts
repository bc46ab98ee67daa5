import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Digest } from '../../../api/names.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import type { Trial } from '../../state/memory.ts';
import { bakeMs, maxEnds } from './canary-trial.ts';
import { Trials } from './trials.ts';

const digestOf = (letter: string) => `sha256:${letter.repeat(64)}` as Digest;
const [next, good, other] = [digestOf('a'), digestOf('b'), digestOf('c')];
const bound = (digest: Digest) => ({ adapter: 'x', uid: `uid-${digest}`, digest });
const canaryOf = (digest: Digest, attempt = 1) => ({ ...bound(digest), seed: '00', attempt });
const uid = `uid-${next}`;
const plan = { stable: bound(good), canary: canaryOf(next), weight: 50 };

/** A disk that outlives runtimes, and runtimes on it. */
const machine = () => {
  const disk: {
    trials: readonly Trial[];
    fails: boolean;
    slow?: Promise<void>;
    held: Set<string>;
    /** Whether it has the plan. */
    plan: Promise<boolean>;
  } = { trials: [], fails: false, held: new Set(), plan: Promise.resolve(true) };
  const clock = new FakeClock();
  const boot = () => {
    const trials = new Trials(disk.trials, {
      clock,
      logger: pino({ enabled: false }),
      write: async (all) => {
        await disk.slow;
        if (disk.fails) throw new Error('ENOSPC');
        disk.trials = structuredClone(all);
      },
      isHeld: (rolloutUid, digest) => disk.held.has(`${rolloutUid} ${digest}`),
      planSaved: () => disk.plan,
    });
    for (const { trial } of trials.suspects()) disk.held.add(`${trial.rolloutUid} ${trial.digest}`);
    const follow = (arms: object = plan) => trials.follow(new Map([['r1', arms]]));
    const resident = (adapterUid = uid) =>
      trials.transition({ uid: adapterUid, from: 'Loaded', to: 'Resident', cause: 'Passed' });
    return { trials, follow, resident };
  };
  /** A runtime that loads the canary; what becomes of it is up to the test. */
  const load = async () => {
    const runtime = boot();
    runtime.follow();
    runtime.trials.start();
    const refusal = await runtime.trials.admit(uid, next);
    return { ...runtime, refusal };
  };
  return { disk, clock, boot, load };
};

describe('Trials', () => {
  it('admits a canary only when the disk says that it is tried, and a runtime that starts not before it answers', async () => {
    const { disk, boot } = machine();
    const { trials, follow } = boot();
    follow();
    expect(trials.isPending('r1', next)).toBe(true);
    const admitted = trials.admit(uid, next);
    await new Promise(setImmediate);
    expect(disk.trials).toEqual([]);
    trials.start();
    expect(await admitted).toBeUndefined();
    expect(disk.trials).toEqual([{ rolloutUid: 'r1', digest: next, attempt: 1, state: 'OnTrial', ends: 0 }]);
    expect(trials.isPending('r1', next)).toBe(false);
  });

  it('makes a canary a suspect after three ends in a row, and admits it no more while it is held', async () => {
    const { disk, load } = machine();
    for (let end = 0; end < maxEnds; end++) {
      expect(disk.held.size).toBe(0);
      expect((await load()).refusal).toBeUndefined();
    }
    const { trials, refusal } = await load();
    expect(trials.suspects()).toMatchObject([
      { trial: { digest: next, attempt: 1 }, reason: expect.stringContaining('ended 3 times in a row') },
    ]);
    expect(refusal).toContain('ended 3 times in a row');
    expect((await load()).trials.all()).toMatchObject([{ ends: 3 }]);
  });

  it('counts no end after a shutdown, and none of a runtime that had not tried it', async () => {
    const { disk, boot, load } = machine();
    const { trials, follow } = await load();
    await trials.close();
    follow();
    expect(disk.trials).toMatchObject([{ state: 'Idle', ends: 0 }]);
    for (let end = 0; end < 5; end++) boot().follow();
    expect((await load()).trials.all()).toMatchObject([{ ends: 0 }]);
    expect(await trials.admit(uid, next)).toBe('this runtime is stopping');
  });

  it('commits a canary that has answered for a minute: no end is counted any more', async () => {
    const { disk, clock, load, boot } = machine();
    const { trials, resident } = await load();
    resident();
    clock.advance(bakeMs);
    expect(disk.trials).toMatchObject([{ state: 'OnTrial' }]);
    trials.answered('r1', next);
    clock.advance(bakeMs - 1);
    trials.answered('r1', next);
    expect(trials.all()).toMatchObject([{ state: 'OnTrial' }]);
    clock.advance(1);
    await new Promise(setImmediate);
    expect(disk.trials).toMatchObject([{ state: 'Committed' }]);
    for (let end = 0; end < 20; end++) {
      const { refusal, trials: later } = await load();
      expect([refusal, later.isPending('r1', next), later.suspects()]).toEqual([undefined, false, []]);
    }
    boot();
    expect(disk.held.size).toBe(0);
  });

  it('commits a canary that the rollout makes stable, whatever it had on its record', async () => {
    const { disk, load } = machine();
    for (let end = 0; end < maxEnds - 1; end++) await load();
    const { follow } = await load();
    follow({ stable: bound(next), weight: 0 });
    await new Promise(setImmediate);
    expect(disk.trials).toMatchObject([{ state: 'Committed', ends: 0 }]);
  });

  it('begins to count a minute anew when the adapter leaves RAM', async () => {
    const { clock, load } = machine();
    const { trials, resident } = await load();
    resident();
    trials.answered('r1', next);
    clock.advance(bakeMs - 1);
    trials.transition({ uid, from: 'Resident', to: 'Compiled', cause: 'EngineLost' });
    clock.advance(bakeMs);
    expect(trials.all()).toMatchObject([{ state: 'OnTrial' }]);
    resident();
    trials.answered('r1', next);
    clock.advance(bakeMs);
    expect(trials.all()).toMatchObject([{ state: 'Committed' }]);
  });

  it('forgets ends when the canary stays Resident for a minute: they were of something else', async () => {
    const { clock, load, disk } = machine();
    for (let end = 0; end < maxEnds - 1; end++) await load();
    const { resident } = await load();
    expect(disk.trials).toMatchObject([{ ends: 2 }]);
    resident();
    clock.advance(bakeMs);
    await new Promise(setImmediate);
    expect(disk.trials).toMatchObject([{ ends: 0, state: 'OnTrial' }]);
  });

  it.each([
    ['is refused', { from: 'Compiled', to: 'Failed', cause: 'SMOKE_TEST_FAILED' }],
    ['left RAM a minute ago', { from: 'Draining', to: 'Compiled', cause: 'Unloaded' }],
  ] as const)('counts no end after a canary %s', async (_, arrow) => {
    const { disk, boot, load, clock } = machine();
    const { trials } = await load();
    trials.transition({ uid, ...arrow });
    clock.advance(bakeMs);
    await new Promise(setImmediate);
    expect(disk.trials).toMatchObject([{ state: 'Idle', ends: 0 }]);
    expect(boot().trials.all()).toMatchObject([{ ends: 0 }]);
  });

  it('writes nothing while a canary takes turns in RAM with stable', async () => {
    const { disk, load, clock } = machine();
    const { trials, resident } = await load();
    const { trials: written } = disk;
    for (let turn = 0; turn < 5; turn++) {
      resident();
      trials.transition({ uid, from: 'Resident', to: 'Draining', cause: 'DrainStarted' });
      trials.transition({ uid, from: 'Draining', to: 'Compiled', cause: 'Unloaded' });
      clock.advance(bakeMs - 1);
      expect(await trials.admit(uid, next)).toBeUndefined();
      clock.advance(bakeMs - 1);
    }
    expect(disk.trials).toBe(written);
  });

  it.each([
    ['a retry', { ...plan, canary: canaryOf(next, 2) }],
    ['another canary', { ...plan, canary: canaryOf(other) }],
    ['the end of the rollout', undefined],
  ])('starts anew with %s', async (_, arms) => {
    const { load } = machine();
    for (let end = 0; end < maxEnds - 1; end++) await load();
    const { trials } = await load();
    trials.follow(new Map(arms === undefined ? [] : [['r1', arms]]));
    expect(trials.all()).toEqual([]);
  });

  it('keeps the record of what is held through plans without it, and drops it when a person tries it again', async () => {
    const { disk, load, boot } = machine();
    for (let end = 0; end < maxEnds; end++) await load();
    const { trials, follow } = boot();
    follow({ stable: bound(good), weight: 0 });
    expect(trials.all()).toMatchObject([{ ends: 3 }]);
    disk.held.clear();
    trials.forget('r1');
    follow();
    trials.start();
    expect(await trials.admit(uid, next)).toBeUndefined();
    expect(disk.trials).toMatchObject([{ ends: 0, state: 'OnTrial' }]);
  });

  it.each([
    ['requests', { weight: 50 }],
    ['copies of them', { weight: 0, mirror: 10 }],
  ])(
    'puts a canary on trial that was Resident before it was one, and gives it %s after that',
    async (_, traffic) => {
      const { boot, disk } = machine();
      const { trials, follow, resident } = boot();
      resident();
      follow({ ...plan, weight: 0 });
      await new Promise(setImmediate);
      expect(disk.trials).toEqual([]);
      follow({ ...plan, ...traffic });
      expect(trials.isPending('r1', next)).toBe(true);
      await new Promise(setImmediate);
      expect(trials.isPending('r1', next)).toBe(false);
      expect(disk.trials).toMatchObject([{ state: 'OnTrial' }]);
    },
  );

  it('neither loads a canary nor gives it requests while the disk takes no record, and tries that again', async () => {
    const { boot, disk, clock } = machine();
    disk.fails = true;
    const { trials, follow, resident } = boot();
    follow();
    trials.start();
    expect(await trials.admit(uid, next)).toContain('the disk does not take');
    resident();
    await new Promise(setImmediate);
    expect(trials.isPending('r1', next)).toBe(true);
    disk.fails = false;
    clock.advance(30_000);
    await new Promise(setImmediate);
    expect(trials.isPending('r1', next)).toBe(false);
  });

  it('admits a canary whose next attempt began while the record of the one before was written', async () => {
    const { boot, disk } = machine();
    const { trials, follow } = boot();
    follow();
    trials.start();
    const { promise, resolve } = Promise.withResolvers<void>();
    disk.slow = promise;
    const admitted = trials.admit(uid, next);
    await new Promise(setImmediate);
    follow({ ...plan, canary: canaryOf(next, 2) });
    resolve();
    expect(await admitted).toBeUndefined();
    expect(disk.trials).toMatchObject([{ attempt: 2, state: 'OnTrial' }]);
    expect(trials.isPending('r1', next)).toBe(false);
  });

  describe('while the plan of the canary is written', () => {
    const rolledBack = { stable: bound(good), weight: 0 };
    const waiting = async () => {
      const { boot, disk, clock } = machine();
      const { promise, resolve: written } = Promise.withResolvers<boolean>();
      disk.plan = promise;
      const runtime = boot();
      runtime.follow();
      runtime.trials.start();
      const admitted = runtime.trials.admit(uid, next);
      await new Promise(setImmediate);
      return { ...runtime, disk, clock, admitted, written, boot };
    };

    it('says on no disk that it is tried: a runtime that starts with the plan before would forget the end', async () => {
      const { trials, disk, admitted, written, boot } = await waiting();
      expect(disk.trials).toEqual([]);
      expect(trials.isPending('r1', next)).toBe(true);
      written(true);
      expect(await admitted).toBeUndefined();
      expect(disk.trials).toMatchObject([{ state: 'OnTrial', ends: 0 }]);
      const after = boot();
      after.follow();
      expect(after.trials.all()).toMatchObject([{ digest: next, ends: 1 }]);
    });

    it('neither loads it nor gives it requests where the disk refuses the plan, and tries that again', async () => {
      const { trials, disk, clock, admitted, written, resident } = await waiting();
      written(false);
      expect(await admitted).toContain('the disk does not take');
      resident();
      await new Promise(setImmediate);
      expect([disk.trials, trials.isPending('r1', next)]).toEqual([[], true]);
      disk.plan = Promise.resolve(true);
      clock.advance(30_000);
      await new Promise(setImmediate);
      expect(trials.isPending('r1', next)).toBe(false);
    });

    it.each([
      ['is given up', rolledBack, []],
      ['becomes stable', { stable: bound(next), weight: 0 }, [{ state: 'Committed' }]],
    ])('puts nothing on trial that %s meanwhile', async (_, arms, records) => {
      const { disk, follow, admitted, written } = await waiting();
      follow(arms);
      written(true);
      expect(await admitted).toBeUndefined();
      expect(disk.trials).toMatchObject(records);
    });

    it('puts nothing on trial that is held meanwhile, or after a shutdown', async () => {
      const held = await waiting();
      held.disk.held.add(`r1 ${next}`);
      held.written(true);
      await held.admitted;
      expect(held.disk.trials).toEqual([]);
      const closed = await waiting();
      await closed.trials.close();
      closed.written(true);
      expect(await closed.admitted).toBe('this runtime is stopping');
      expect(closed.disk.trials).toMatchObject([{ state: 'Idle' }]);
    });
  });

  it('asks nothing of stable, nor of what another rollout has as stable', async () => {
    const { boot, disk } = machine();
    const { trials } = boot();
    trials.follow(
      new Map<string, object>([
        ['r1', plan],
        ['r2', { stable: bound(next) }],
      ]),
    );
    expect(await trials.admit(`uid-${good}`, good)).toBeUndefined();
    expect(await trials.admit(uid, next)).toBeUndefined();
    expect(trials.isPending('r1', good)).toBe(false);
    expect(disk.trials).toEqual([]);
  });
});
