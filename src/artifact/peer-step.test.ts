import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { peerOrder, peerStates } from './peer-site.ts';
import { type Heard, stepOf } from './peer-step.ts';

const patience = { stallMs: 20, wantedMs: 10, aloneMs: 300 };
const heard = (name: string, state: Heard['state'], more: Partial<Heard> = {}): Heard => {
  return { name, state, bytes: 0, quietMs: 0, sinceMs: 0, waitedMs: 0, ...more };
};
const step = (words: readonly Heard[], ahead: readonly string[] = [], askers: readonly string[] = []) =>
  stepOf(words, new Set(ahead), new Set(askers), patience);

describe('who wants a blob', () => {
  it('takes it from who has it, before all else', () => {
    expect(step([heard('a', 'coming'), heard('b', 'here'), heard('c', 'here')])).toEqual({
      do: 'take',
      from: ['b', 'c'],
    });
  });

  it('waits for who fetches it and gets on', () => {
    expect(step([heard('a', 'coming', { quietMs: 19 }), heard('b', 'wanted')])).toEqual({
      do: 'wait',
      on: ['a'],
    });
  });

  it('waits for nobody who is stuck', () => {
    expect(step([heard('a', 'coming', { quietMs: 20 })])).toEqual({ do: 'fetch' });
  });

  it('fetches beside one who takes long, and beside no two', () => {
    const long = { sinceMs: 300 };
    expect(step([heard('a', 'coming', long)])).toEqual({ do: 'fetch' });
    expect(step([heard('a', 'coming', long), heard('b', 'coming')])).toEqual({ do: 'wait', on: ['a', 'b'] });
  });

  it('lets those go first who are ahead, for a while', () => {
    const words = [heard('a', 'wanted'), heard('b', 'wanted')];
    expect(step(words, ['b'])).toEqual({ do: 'wait', on: ['b'] });
    expect(step(words, [])).toEqual({ do: 'fetch' });
    expect(step([heard('b', 'wanted', { waitedMs: 10 })], ['b'])).toEqual({ do: 'fetch' });
  });

  it('looks again where somebody ahead asked meanwhile', () => {
    expect(step([heard('b', 'none')], ['b'], ['b'])).toEqual({ do: 'wait', on: ['b'] });
    expect(step([heard('b', 'none')], [], ['b'])).toEqual({ do: 'fetch' });
    expect(step([heard('b', 'none', { waitedMs: 10 })], ['b'], ['b'])).toEqual({ do: 'fetch' });
  });

  it('fetches in the end, whatever others say for ever', () => {
    const words = fc.array(
      fc.record({ name: fc.constantFrom('a', 'b', 'c'), state: fc.constantFrom(...peerStates) }),
    );
    fc.assert(
      fc.property(
        words,
        fc.subarray(['a', 'b', 'c']),
        fc.subarray(['a', 'b', 'c']),
        (said, ahead, askers) => {
          const late = { quietMs: 20, sinceMs: 300, waitedMs: 10 };
          const sure = said
            .filter(({ state }) => state !== 'here')
            .map(({ name, state }) => heard(name, state, late));
          expect(step(sure, ahead, askers)).toEqual({ do: 'fetch' });
        },
      ),
    );
  });
});

describe('the order of a site', () => {
  const names = Array.from({ length: 20 }, (_, i) => `ns/node-${i}`);

  it('is the same whoever makes it, and stays when others come and go', () => {
    const one = fc.subarray(names, { minLength: 2 });
    fc.assert(
      fc.property(one, fc.string(), (some, blob) => {
        const all = peerOrder(blob, names);
        expect(peerOrder(blob, some.toReversed())).toEqual(all.filter((name) => some.includes(name)));
      }),
    );
  });

  it('has each of them first for some blobs', () => {
    const firsts = new Set(Array.from({ length: 400 }, (_, i) => peerOrder(`sha256:${i}`, names)[0]));
    expect(firsts.size).toBe(20);
  });
});
