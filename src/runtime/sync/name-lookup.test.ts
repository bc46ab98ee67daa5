import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { NameLookup } from './name-lookup.ts';
import { settle } from './testing/memory-operator.ts';

const key = (name: string) => objectKey('team-a', name);
const never = new AbortController().signal;

const make = (remembered: readonly string[] = []) => {
  const clock = new FakeClock();
  const here = new Set<string>();
  const state = { canAsk: true, remembers: 0 };
  const sent: string[][] = [];
  const lookup: NameLookup = new NameLookup({
    clock,
    names: remembered,
    has: (name) => here.has(name),
    canAsk: () => state.canAsk,
    changed: () => void sent.push(lookup.names),
    remember: () => state.remembers++,
  });
  const arrive = (name: string) => {
    here.add(key(name));
    lookup.applied();
  };
  return { clock, here, state, sent, lookup, arrive };
};

describe('looking a name up at the operator', () => {
  it('asks once for a name that many want, and all get it; it is remembered', async () => {
    const { lookup, sent, arrive, state } = make();
    const all = Promise.all([1, 2, 3].map(() => lookup.bring(key('sql'), never)));
    expect(sent).toEqual([['team-a/sql']]);
    arrive('sql');
    expect(await all).toEqual(['here', 'here', 'here']);
    expect(lookup.remembered).toEqual(['team-a/sql']);
    expect(state.remembers).toBe(1);
  });

  it('fails at once when nobody can be asked', async () => {
    const { lookup, state, sent } = make();
    state.canAsk = false;
    expect(await lookup.bring(key('sql'), never)).toBe('away');
    expect(sent).toEqual([]);
  });

  it('waits two seconds at most, or until the caller is gone', async () => {
    const { lookup, clock } = make();
    const late = lookup.bring(key('sql'), never);
    const gone = new AbortController();
    const left = lookup.bring(key('med'), gone.signal);
    gone.abort();
    expect(await left).toBe('late');
    clock.advance(2_000);
    expect(await late).toBe('late');
  });

  it('takes an answer that comes too late for the request that asked', async () => {
    const { lookup, clock, arrive } = make();
    const late = lookup.bring(key('sql'), never);
    clock.advance(2_000);
    await late;
    arrive('sql');
    expect(lookup.remembered).toEqual(['team-a/sql']);
  });

  it('does not ask again for five seconds for a name that nobody has', async () => {
    const { lookup, clock, sent } = make();
    const first = lookup.bring(key('none'), never);
    lookup.unknown(['team-a/none']);
    expect(await first).toBe('unknown');
    clock.advance(200);
    const asked = sent.length;
    expect(await lookup.bring(key('none'), never)).toBe('unknown');
    expect(sent).toHaveLength(asked);
    // It went off the list: the operator answers again only for a name that is new there.
    expect(sent.at(-1)).toEqual([]);
    clock.advance(5_000);
    void lookup.bring(key('none'), never);
    expect(sent.at(-1)).toEqual(['team-a/none']);
  });

  it('makes few messages of a flood of bad names, and keeps the good ones', async () => {
    const { lookup, clock, sent } = make(['team-a/good']);
    for (let second = 0; second < 2; second++) {
      for (let i = 0; i < 5_000; i++) {
        void lookup.bring(key(`bad-${second}-${i}`), never);
        if (i % 50 === 0) {
          clock.advance(10);
          lookup.unknown(lookup.names.filter((name) => name.includes('bad')));
        }
      }
    }
    await settle();
    expect(sent.length).toBeLessThanOrEqual(22);
    expect(Math.max(...sent.map((names) => names.length))).toBeLessThanOrEqual(65);
    expect(lookup.remembered).toEqual(['team-a/good']);
  });

  it('says that it is busy when as many names wait as may', async () => {
    const { lookup } = make();
    for (let i = 0; i < 64; i++) void lookup.bring(key(`n-${i}`), never);
    expect(await lookup.bring(key('one-more'), never)).toBe('busy');
    expect(await Promise.race([lookup.bring(key('n-1'), never), settle()])).toBe(undefined);
  });

  it('forgets a remembered name that is gone, and the one that was used longest ago when it is full', () => {
    const many = Array.from({ length: 936 }, (_, i) => `team-a/n-${i}`);
    const { lookup, arrive, state } = make(many);
    lookup.used(key('n-0'));
    void lookup.bring(key('new'), never);
    arrive('new');
    expect(lookup.remembered).toContain('team-a/n-0');
    expect(lookup.remembered).not.toContain('team-a/n-1');
    lookup.unknown(['team-a/n-2']);
    expect(lookup.remembered).not.toContain('team-a/n-2');
    expect(state.remembers).toBe(2);
  });

  it('ends who waits when the runtime stops', async () => {
    const { lookup } = make();
    const waiting = lookup.bring(key('sql'), never);
    lookup.close();
    expect(await waiting).toBe('away');
  });

  it('the callers of one namespace, with names that nobody has, take nothing from those of another', async () => {
    const { lookup, arrive, sent } = make();
    const wrong = Array.from({ length: 10_000 }, (_, i) =>
      lookup.bring(objectKey('team-b', `none-${i}`), never),
    );
    expect(await Promise.all(wrong.slice(16))).toEqual(Array.from({ length: 9_984 }, () => 'busy'));
    const wanted = lookup.bring(key('sql'), never);
    expect(lookup.names).toHaveLength(17);
    arrive('sql');
    expect(await wanted).toBe('here');
    expect(sent.length).toBeLessThan(5);
  });
});
