import { describe, expect, it } from 'vitest';
import type { Digest } from '../../api/names.ts';
import type { RequirementFor } from './core.ts';
import { adapter, key, never, settle, stateOf, world } from './fake-ports.ts';

const plan = [adapter('a', { tier: 'Memory' })];
const allowed = (): undefined => undefined;
const asks =
  (version: string | undefined): RequirementFor =>
  () =>
    version === undefined ? undefined : { version, demands: [] };

const start = () => {
  const [signed, signable] = [new Map<Digest, string>(), new Map<Digest, string>()];
  const w = world({ signed, signable });
  const apply = async (version: string | undefined) => {
    w.residency.apply(plan, allowed, new Set(), asks(version));
    await settle();
  };
  const failure = () => {
    const state = w.residency.state(key('a'));
    return state?.kind === 'Failed' ? state.failure.code : state?.kind;
  };
  return { w, signed, signable, apply, failure, digest: w.digest('a') };
};

describe('an adapter that has to be signed', () => {
  it('is not fetched where it is not, says why, and comes once it is', async () => {
    const { w, apply, failure, signable, digest } = start();
    await apply('old');
    await expect(w.residency.acquire(key('a'), { signal: never() })).rejects.toThrow(
      'adapter team/a cannot serve (SIGNATURE_MISSING): there is none of a',
    );
    expect([w.script.count('fetch a'), failure()]).toEqual([0, 'SIGNATURE_MISSING']);
    signable.set(digest, 'old');
    w.clock.advance(400_000);
    await settle();
    expect(stateOf(w, 'a')).toBe('Resident');
  });

  it('is not taken from the disk either', async () => {
    const { w, apply, failure, digest } = start();
    w.disk.set(digest, 5);
    await apply('old');
    expect([failure(), w.script.count('compile a'), w.script.count('load a')]).toEqual([
      'SIGNATURE_MISSING',
      0,
      0,
    ]);
  });

  it('is verified by what is kept alone, without a question to its source', async () => {
    const { w, apply, signed, digest } = start();
    w.disk.set(digest, 5);
    w.resolutions.set('uid-a', digest);
    signed.set(digest, 'old');
    await apply('old');
    expect([stateOf(w, 'a'), w.script.count('signatures of a')]).toEqual(['Resident', 0]);
  });

  it('goes on serving while keys change and what is kept does for both', async () => {
    const { w, apply, signed, digest } = start();
    signed.set(digest, 'old');
    await apply('old');
    const { length } = w.arrows;
    await apply('old');
    await apply(undefined);
    expect(w.arrows).toHaveLength(length);
    expect(stateOf(w, 'a')).toBe('Resident');
  });

  it('leaves RAM when its key is taken away, and comes back when another one has signed', async () => {
    const { w, apply, failure, signed, signable, digest } = start();
    signed.set(digest, 'old');
    await apply('old');
    expect(stateOf(w, 'a')).toBe('Resident');
    await apply('new');
    expect(failure()).toBe('SIGNATURE_MISSING');
    expect(w.residency.tryAcquire(key('a'))).toBeUndefined();
    signable.set(digest, 'new');
    w.clock.advance(400_000);
    await settle();
    expect(stateOf(w, 'a')).toBe('Resident');
  });

  it('leaves RAM once what uses it has ended', async () => {
    const { w, apply, failure, signed, digest } = start();
    signed.set(digest, 'old');
    await apply('old');
    const lease = w.residency.tryAcquire(key('a'));
    await apply('new');
    expect(stateOf(w, 'a')).toBe('Draining');
    expect(w.residency.tryAcquire(key('a'))).toBeUndefined();
    lease?.[Symbol.dispose]();
    await settle();
    expect(failure()).toBe('SIGNATURE_MISSING');
  });

  it('is looked at anew at once when something else is asked for', async () => {
    const { w, apply, failure } = start();
    await apply('old');
    expect(failure()).toBe('SIGNATURE_MISSING');
    await apply(undefined);
    expect(stateOf(w, 'a')).toBe('Resident');
  });

  it('is not let in by what was asked for as its load began', async () => {
    const { w, apply, failure, signed, digest } = start();
    signed.set(digest, 'old');
    const load = w.script.hold('load a');
    await apply('old');
    await apply('new');
    load.resolve();
    await settle();
    expect(failure()).toBe('SIGNATURE_MISSING');
    expect(w.arrows.map(({ to }) => to)).not.toContain('Resident');
  });

  it('serves no more in its turn either, where one is in RAM at a time', async () => {
    const [signed, signable] = [new Map<Digest, string>(), new Map<Digest, string>()];
    const w = world({ signed, signable, oneAdapter: true });
    const both = [adapter('a'), adapter('b')];
    for (const name of ['a', 'b']) signed.set(w.digest(name), 'old');
    const apply = async (version: string) => {
      w.residency.apply(both, allowed, new Set(), asks(version));
      await settle();
    };
    const use = async (name: string) =>
      (await w.residency.acquire(key(name), { signal: never() }))[Symbol.dispose]();
    const serving = () => ['a', 'b'].filter((name) => w.residency.serves(key(name), w.digest(name)));
    await apply('old');
    for (const name of ['a', 'b']) await use(name);
    expect(serving()).toEqual(['a', 'b']);
    expect(['a', 'b'].filter((name) => stateOf(w, name) === 'Resident')).toHaveLength(1);
    for (const name of ['a', 'b']) signed.set(w.digest(name), 'new');
    await apply('new');
    expect(serving()).toEqual(['a', 'b']);
    await apply('third');
    expect(serving()).toEqual([]);
    for (const name of ['a', 'b']) signable.set(w.digest(name), 'third');
    for (const name of ['a', 'b']) await use(name);
    expect(serving()).toEqual(['a', 'b']);
  });

  it('is that of one user as well', async () => {
    const { w, apply } = start();
    await apply('old');
    w.residency.ensure(adapter('b'));
    await expect(w.residency.acquire(key('b'), { signal: never() })).rejects.toThrow('SIGNATURE_MISSING');
  });
});
