import { describe, expect, it } from 'vitest';
import { Input } from './deadly-inputs.ts';
import { bound, digest, error, guardOf } from './guard.fixture.ts';

describe('the guard', () => {
  it('tells who follows trials of answers of canaries, and of what a person has tried again', () => {
    const told: string[] = [];
    const { guard, holds } = guardOf([], (uid, of) => told.push(`answered ${uid} ${of === digest}`));
    holds.onChange((change) => {
      if (change.kind === 'released') told.push(`released ${change.rolloutUid}`);
    });
    guard.canaries.recordResult('r1', digest, 'failure', error);
    guard.canaries.recordResult('r1', digest, 'success', undefined);
    holds.release('r1');
    expect(told).toEqual(['answered r1 true', 'released r1']);
  });

  it('lets no request try what a person rolled back, however long ago it failed', () => {
    const { guard, holds, clock, follow } = guardOf();
    follow({ stable: bound(digest) });
    holds.hold('r1', digest, 'BreakGlass', 'by hand', { arm: 'stable' });
    for (let i = 0; i < 3; i++)
      guard.stables.recordResult('r1', digest, { outcome: 'failure', isTrial: false }, error);
    clock.advance(60_000);
    expect(guard.holdInForce('r1', digest)).toMatchObject({ cause: 'BreakGlass' });
  });

  it('counts from nothing what a person has tried again, held or not', () => {
    const { guard, holds } = guardOf();
    for (let i = 0; i < 2; i++) guard.canaries.recordResult('r1', digest, 'failure', error);
    holds.release('r1');
    for (let i = 0; i < 2; i++) guard.canaries.recordResult('r1', digest, 'failure', error);
    expect(holds.all()).toEqual([]);
    guard.canaries.recordResult('r1', digest, 'failure', error);
    expect(holds.isHeld('r1', digest)).toBe(true);
  });
});

describe('an end of the engine', () => {
  const world = () => {
    const { guard } = guardOf();
    let ids = 0;
    /** The engine ends while it works on these inputs, by who sent them, and on copies for a canary. */
    const dies = (there: Readonly<Record<string, string>>, { arm = 'stable', copies = 0 } = {}) => {
      const work = new Map<string, { engineName: string | null; events: number }>();
      for (const [caller, text] of Object.entries(there)) {
        const input = new Input({ namespace: 'n', model: 'm', caller, headers: new Map() }, text);
        const id = `${(ids += 1)}`;
        guard.inputs.given(input, { digest, arm: arm as 'stable' }, [id]);
        work.set(id, { engineName: 'm', events: 0 });
      }
      for (let copy = 0; copy < copies; copy += 1) work.set(`copy ${copy}`, { engineName: 'c', events: 0 });
      guard.engineDied(work);
    };
    const isRefused = (caller: string): boolean => {
      try {
        guard.callers.check(JSON.stringify(['n', caller, undefined, undefined]));
        return false;
      } catch {
        return true;
      }
    };
    isRefused('another');
    return { dies, isRefused };
  };

  it('is not charged to a caller who sends the same again beside one who does not', () => {
    const { dies, isRefused } = world();
    dies({ good: 'x', bad: '1' });
    dies({ good: 'y', bad: '2' });
    dies({ good: 'y', bad: '3' });
    expect(isRefused('good')).toBe(false);
    dies({ bad: '4' });
    expect([isRefused('good'), isRefused('bad')]).toEqual([false, true]);
  });

  it('is not charged to who was there beside a canary, or a copy for one', () => {
    const { dies, isRefused } = world();
    for (const text of ['1', '2', '3']) dies({ good: text }, { arm: 'canary' });
    for (const text of ['4', '5', '6']) dies({ good: text }, { copies: 1 });
    expect(isRefused('good')).toBe(false);
    for (const text of ['7', '8']) dies({ good: text });
    expect(isRefused('good')).toBe(true);
  });
});
