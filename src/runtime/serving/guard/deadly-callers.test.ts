import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Digest } from '../../../api/names.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { DeadlyCallers } from './deadly-callers.ts';

const [version, other] = ['a', 'b'].map((letter) => `sha256:${letter.repeat(64)}` as Digest) as [
  Digest,
  Digest,
];
const never = new AbortController().signal;
const minute = 60_000;

const start = () => {
  const clock = new FakeClock();
  const callers = new DeadlyCallers(clock);
  let inputs = 0;
  /** The engine ends while it works on an input of each of these, a new one each time; or on these inputs. */
  const dies = (...there: readonly (string | readonly [who: string, key: string, digest?: Digest])[]) =>
    callers.engineDied(
      new Map(
        there.map((one) => {
          const [who, key, digest = version] =
            typeof one === 'string' ? ([one, `new ${(inputs += 1)}`] as const) : one;
          return [who, { keys: new Set([key]), versions: new Set([digest]) }];
        }),
      ),
    );
  const codeOf = async (who: string): Promise<string> => {
    try {
      callers.check(who);
      (await callers.turn(who, never))?.();
      return 'OK';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  /** Those of these that have their turn by now, and what ends it. */
  const turnsOf = async (...whos: readonly string[]) => {
    const having: string[] = [];
    const ends: (() => void)[] = [];
    const waits = async (who: string): Promise<void> => {
      const end = await callers.turn(who, never);
      having.push(who);
      ends.push(end ?? (() => undefined));
    };
    for (const who of whos) void waits(who);
    await setImmediate();
    /** Those that have a turn are done, so that others have theirs. */
    const next = async (): Promise<void> => {
      having.splice(0);
      for (const end of ends.splice(0)) end();
      await setImmediate();
    };
    return { having, next };
  };
  return { clock, callers, dies, codeOf, turnsOf };
};

describe('a caller who ends the engine with another input each time', () => {
  it('is refused for ten minutes once that happened twice to him alone; others are not', async () => {
    const { clock, dies, codeOf } = start();
    expect(await codeOf('good')).toBe('OK');
    dies('bad');
    expect(await codeOf('bad')).toBe('OK');
    dies('bad');
    expect([await codeOf('bad'), await codeOf('good')]).toEqual(['CALLER_ENDS_ENGINE', 'OK']);
    clock.advance(9 * minute);
    await codeOf('good');
    expect(await codeOf('bad')).toBe('CALLER_ENDS_ENGINE');
    clock.advance(minute);
    expect(await codeOf('bad')).toBe('OK');
  });

  it('is told when it may come back', async () => {
    const { clock, callers, dies, codeOf } = start();
    await codeOf('good');
    dies('bad');
    dies('bad');
    clock.advance(minute);
    expect(() => callers.check('bad')).toThrow(expect.objectContaining({ retryAfterMs: 9 * minute }));
  });

  it('is not refused where nobody else asks', async () => {
    const { clock, dies, codeOf } = start();
    await codeOf('good');
    clock.advance(10 * minute);
    for (let end = 0; end < 5; end += 1) {
      await codeOf('bad');
      dies('bad');
    }
    expect(await codeOf('bad')).toBe('OK');
    await codeOf('good');
    expect(await codeOf('bad')).toBe('CALLER_ENDS_ENGINE');
  });

  it('is not found by an input that comes again, which is refused for itself', async () => {
    const { dies, codeOf } = start();
    await codeOf('good');
    for (let end = 0; end < 5; end += 1) dies(['bad', 'same']);
    expect(await codeOf('bad')).toBe('OK');
  });

  it('is not found by ends that are further apart than ten minutes', async () => {
    const { clock, dies, codeOf } = start();
    dies('bad');
    clock.advance(10 * minute);
    await codeOf('good');
    dies('bad');
    expect(await codeOf('bad')).toBe('OK');
  });

  it('is forgiven what a version is taken out of service for', async () => {
    const { callers, dies, codeOf } = start();
    await codeOf('good');
    dies('bad');
    dies('bad');
    callers.held(other);
    expect(await codeOf('bad')).toBe('CALLER_ENDS_ENGINE');
    callers.held(version);
    expect(await codeOf('bad')).toBe('OK');
  });

  it('is forgiven where another one is found with the same version alone, which is to blame for ten minutes', async () => {
    const { clock, dies, codeOf } = start();
    await codeOf('good');
    for (let end = 0; end < 2; end += 1) dies('one');
    expect(await codeOf('one')).toBe('CALLER_ENDS_ENGINE');
    for (let end = 0; end < 2; end += 1) dies('two');
    for (let end = 0; end < 3; end += 1) dies('three');
    expect([await codeOf('one'), await codeOf('two'), await codeOf('three')]).toEqual(['OK', 'OK', 'OK']);
    clock.advance(10 * minute);
    await codeOf('good');
    for (let end = 0; end < 2; end += 1) dies('three');
    expect(await codeOf('three')).toBe('CALLER_ENDS_ENGINE');
  });

  it('is refused beside another one who did so with another version', async () => {
    const { dies, codeOf } = start();
    await codeOf('good');
    for (const [who, digest] of [
      ['one', version],
      ['two', other],
    ] as const)
      for (const key of ['a', 'b']) dies([who, who + key, digest]);
    expect([await codeOf('one'), await codeOf('two')]).toEqual(['CALLER_ENDS_ENGINE', 'CALLER_ENDS_ENGINE']);
  });

  it('is never refused without a credential', async () => {
    const { dies, codeOf } = start();
    await codeOf('good');
    for (let end = 0; end < 5; end += 1) dies('');
    expect(await codeOf('')).toBe('OK');
  });

  it('counts with an end that others were there at, and one at which he was alone', async () => {
    const { dies, codeOf } = start();
    dies('bad', 'good');
    await codeOf('good');
    dies('bad');
    expect([await codeOf('bad'), await codeOf('good')]).toEqual(['CALLER_ENDS_ENGINE', 'OK']);
  });
});

describe('callers who are there beside each other', () => {
  it('run apart after the third end, and who ends the engine in his turn is refused', async () => {
    const { dies, codeOf, turnsOf } = start();
    for (let end = 0; end < 2; end += 1) dies('bad', 'good');
    const before = await turnsOf('good', 'bad');
    expect(before.having).toEqual(['good', 'bad']);
    dies('bad', 'good');
    const turns = await turnsOf('good', 'good', 'bad', 'another');
    expect(turns.having).toEqual(['another', 'good', 'good']);
    const later = await turnsOf('good');
    expect(later.having).toEqual(['good']);
    await turns.next();
    // One of those that share the turn has it still.
    expect(turns.having).toEqual([]);
    await later.next();
    expect(turns.having).toEqual(['bad']);
    dies('bad');
    expect([await codeOf('good'), await codeOf('bad')]).toEqual(['OK', 'CALLER_ENDS_ENGINE']);
  });

  it('go on after ten seconds, and ten minutes after the last end nobody waits', async () => {
    const { clock, dies, turnsOf } = start();
    for (let end = 0; end < 3; end += 1) dies('bad', 'good');
    const turns = await turnsOf('good', 'bad');
    expect(turns.having).toEqual(['good']);
    clock.advance(10_000);
    await setImmediate();
    expect(turns.having).toEqual(['good', 'bad']);
    clock.advance(10 * minute);
    expect((await turnsOf('good', 'bad')).having).toEqual(['good', 'bad']);
    // Nor after an end that they were not there at.
    dies('other');
    expect((await turnsOf('good', 'bad')).having).toEqual(['good', 'bad']);
  });

  it('go on together when a version is taken out of service that may have ended it', async () => {
    const { callers, dies, turnsOf } = start();
    for (let end = 0; end < 3; end += 1) dies('bad', 'good');
    const turns = await turnsOf('good', 'bad');
    expect(turns.having).toEqual(['good']);
    callers.held(version);
    await setImmediate();
    expect((await turnsOf('good', 'bad')).having).toEqual(['good', 'bad']);
  });

  it('are found among fifty, by an eighth of them at a time', async () => {
    const { dies, codeOf, turnsOf } = start();
    const all = Array.from({ length: 50 }, (_, at) => `${at}`);
    let [ends, suspects] = [3, all];
    for (let end = 0; end < 3; end += 1) dies(...all);
    while ((await codeOf('7')) !== 'CALLER_ENDS_ENGINE' && ends < 20) {
      const turns = await turnsOf(...suspects);
      while (!turns.having.includes('7')) await turns.next();
      suspects = [...turns.having];
      dies(...suspects);
      ends += 1;
      while (turns.having.length > 0) await turns.next();
      await codeOf('good');
    }
    expect(ends).toBe(5);
    expect(await Promise.all(all.map(codeOf))).toEqual(
      all.map((who) => (who === '7' ? 'CALLER_ENDS_ENGINE' : 'OK')),
    );
  });

  it('are forgotten when a thousand others were there since', async () => {
    const { dies, codeOf } = start();
    await codeOf('good');
    dies('bad');
    dies(...Array.from({ length: 1000 }, (_, at) => `${at}`));
    dies('bad');
    expect(await codeOf('bad')).toBe('OK');
  });
});
