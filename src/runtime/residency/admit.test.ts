import { describe, expect, it } from 'vitest';
import { adapter, key, never, settle, stateOf, world } from './fake-ports.ts';

describe('what has to be asked for before it is compiled or loaded', () => {
  it('is neither before the answer', async () => {
    const asked: string[] = [];
    const answer = Promise.withResolvers<undefined>();
    const w = world({
      admit: (uid, digest) => {
        asked.push(`${uid} ${digest === w.digest('a')}`);
        return answer.promise;
      },
    });
    w.residency.apply([adapter('a', { tier: 'Memory' })]);
    await settle();
    expect([stateOf(w, 'a'), asked]).toEqual(['Stored', ['uid-a true']]);
    answer.resolve(undefined);
    await settle();
    expect(stateOf(w, 'a')).toBe('Resident');
    expect(asked).toHaveLength(2);
  });

  it('stays on the disk while it may not be, says why, and is asked about again', async () => {
    let refusal: string | undefined = 'it ended the runtime';
    const w = world({ admit: async () => refusal });
    w.residency.apply([adapter('a', { tier: 'Memory' }), adapter('b')]);
    await expect(w.residency.acquire(key('a'), { signal: never() })).rejects.toThrow(
      'adapter team/a cannot serve (ADAPTER_ENDS_RUNTIME): it ended the runtime',
    );
    await settle();
    expect([stateOf(w, 'a'), w.residency.view(key('a'))?.message]).toEqual(['Stored', refusal]);
    expect(w.script.count('compile a')).toBe(0);
    refusal = undefined;
    w.residency.apply([adapter('a', { tier: 'Memory' }), adapter('b')]);
    await settle();
    expect([stateOf(w, 'a'), w.residency.view(key('a'))?.message]).toEqual(['Resident', '']);
  });

  it('does not keep residency from closing', async () => {
    const w = world({ admit: () => new Promise(() => undefined) });
    w.residency.apply([adapter('a', { tier: 'Memory' })]);
    await settle();
    await w.residency.close();
    expect(stateOf(w, 'a')).toBe('Stored');
  });
});
