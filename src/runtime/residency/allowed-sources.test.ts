import { describe, expect, it } from 'vitest';
import { adapter, key, never, settle, stateOf, world } from './fake-ports.ts';

const refusing = (why: string | undefined) => (): string | undefined => why;

describe('an adapter of a source that is not allowed', () => {
  it('is not fetched, says why, and comes once it is allowed', async () => {
    const w = world();
    const plan = [adapter('a', { tier: 'Memory' })];
    w.residency.apply(plan, refusing('the path a is not allowed'));
    await expect(w.residency.acquire(key('a'), { signal: never() })).rejects.toThrow(
      'adapter team/a cannot serve (SOURCE_NOT_ALLOWED): the path a is not allowed',
    );
    expect(w.script.count('fetch a')).toBe(0);
    expect(w.residency.state(key('a'))).toMatchObject({
      kind: 'Failed',
      failure: { code: 'SOURCE_NOT_ALLOWED' },
    });
    w.residency.apply(plan, refusing(undefined));
    await settle();
    expect(stateOf(w, 'a')).toBe('Resident');
  });

  it('is not taken from the disk either, where the same content is for another namespace', async () => {
    const w = world();
    const digest = w.digest('a');
    w.disk.set(digest, 5);
    w.residency.apply([adapter('a', { tier: 'Memory', digest })], refusing('not allowed'));
    await settle();
    expect([stateOf(w, 'a'), w.script.count('compile a')]).toEqual(['Failed', 0]);
  });

  it('is no matter for others, and no longer one where no policy speaks', async () => {
    const w = world();
    w.residency.apply([adapter('a', { tier: 'Memory' }), adapter('b', { tier: 'Memory' })], (one) =>
      one === key('a') ? 'not allowed' : undefined,
    );
    await settle();
    expect([stateOf(w, 'a'), stateOf(w, 'b')]).toEqual(['Failed', 'Resident']);
    w.residency.apply([adapter('a', { tier: 'Memory' }), adapter('b', { tier: 'Memory' })]);
    await settle();
    expect(stateOf(w, 'a')).toBe('Resident');
  });

  it('is that of one user as well', async () => {
    const w = world();
    w.residency.apply([], refusing('not allowed'));
    w.residency.ensure(adapter('a'));
    await expect(w.residency.acquire(key('a'), { signal: never() })).rejects.toThrow('SOURCE_NOT_ALLOWED');
  });
});
