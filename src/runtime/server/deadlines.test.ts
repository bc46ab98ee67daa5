import { describe, expect, it } from 'vitest';
import type { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { Deadlines, type Timeouts } from './deadlines.ts';

const start = (given: Partial<Timeouts> = {}, clientMs?: number) => {
  const clock = new FakeClock();
  const errors: AdaptletError[] = [];
  const timeouts = { firstTokenMs: 1000, tokenMs: 100, requestMs: 0, ...given };
  const passed = (error: AdaptletError): void => void errors.push(error);
  const deadlines = new Deadlines({ clock, timeouts, method: 'Generate', clientMs, passed });
  /** A token that takes so long, and so long to be read. */
  const token = (ms: number, readMs = 0): void => {
    const came = deadlines.awaitToken();
    clock.advance(ms);
    came();
    clock.advance(readMs);
  };
  return { clock, errors, deadlines, token };
};

const names = (flag: string) => [
  expect.objectContaining({
    code: 'DEADLINE_EXCEEDED',
    message: expect.stringContaining(`(${flag})`),
    advice: expect.stringContaining(flag),
  }),
];

describe('a request that takes too long', () => {
  it('for its first token is told which deadline passed, and by which flag it is set', () => {
    const { clock, errors } = start();
    clock.advance(999);
    expect(errors).toEqual([]);
    clock.advance(1);
    expect(errors).toEqual(names('--first-token-timeout'));
  });

  it('between two tokens, while its reader waits, is told that', () => {
    const { errors, token } = start();
    token(999);
    for (let count = 0; count < 50; count += 1) token(99);
    expect(errors).toEqual([]);
    token(100);
    expect(errors).toEqual(names('--token-timeout'));
    expect(errors[0]!.message).toContain('after its first 51');
  });

  it('as a whole is told that where it was asked for, though it makes progress', () => {
    const { errors, token } = start({ requestMs: 500 });
    for (let count = 0; count < 6; count += 1) token(99);
    expect(errors).toEqual(names('--request-timeout'));
  });

  it('by the deadline of its client is told so, and by no setting but the one between tokens', () => {
    const { errors, token } = start({ firstTokenMs: 10, requestMs: 20 }, 1000);
    token(500);
    for (let count = 0; count < 4; count += 1) token(99);
    expect(errors).toEqual([]);
    token(99);
    token(99);
    expect(errors).toMatchObject([{ code: 'DEADLINE_EXCEEDED' }]);
    expect(errors[0]!.message).toContain('1000 ms that its client gave');
    const gap = start({}, 1000);
    gap.token(1);
    gap.token(100);
    expect(gap.errors).toEqual(names('--token-timeout'));
  });

  it('by a deadline that has passed when it comes ends at once', () => {
    const { clock, errors } = start({}, -5);
    clock.advance(0);
    expect(errors).toMatchObject([{ code: 'DEADLINE_EXCEEDED' }]);
  });
});

describe('a request that does not', () => {
  it('has no deadline where settings are 0', () => {
    const { errors, token } = start({ firstTokenMs: 0, tokenMs: 0 });
    for (let count = 0; count < 3; count += 1) token(1e9);
    expect(errors).toEqual([]);
  });

  it('may have a reader that is slow: that is no deadline of its tokens', () => {
    const { errors, token } = start();
    for (let count = 0; count < 5; count += 1) token(50, 5000);
    expect(errors).toEqual([]);
  });

  it('leaves no timer behind when it ends, wherever it is', () => {
    for (const clientMs of [undefined, 1000]) {
      const { clock, deadlines, errors, token } = start({ requestMs: 5000 }, clientMs);
      token(1);
      deadlines.awaitToken();
      deadlines.stop();
      clock.advance(1e9);
      expect(errors).toEqual([]);
    }
  });
});
