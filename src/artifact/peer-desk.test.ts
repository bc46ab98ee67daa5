import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf } from './digest.ts';
import { PeerDesk } from './peer-desk.ts';
import { stepOf } from './peer-step.ts';

const claim = { namespace: 'team-a', source: 'oci:r.test/team/sql' };
const blob = digestOf(Buffer.from('weights'));

describe('what a node says of a blob', () => {
  it('is that of the fetch which is furthest, until it is over', () => {
    const desk = new PeerDesk();
    const say = () => desk.answer(claim, blob, 'b');
    expect(say()).toEqual({ state: 'none', bytes: 0 });
    const one = desk.want(claim, blob);
    const two = desk.want(claim, blob);
    expect(say()).toEqual({ state: 'wanted', bytes: 0 });
    one.coming(5);
    two.coming(7);
    expect(say()).toEqual({ state: 'coming', bytes: 7 });
    two.brought();
    expect(desk.hasBrought(claim, blob)).toBe(true);
    two[Symbol.dispose]();
    expect(desk.hasBrought(claim, blob)).toBe(false);
    expect(say()).toEqual({ state: 'coming', bytes: 5 });
    one[Symbol.dispose]();
    expect(say()).toEqual({ state: 'none', bytes: 0 });
  });

  it('is about one namespace and one source', () => {
    const desk = new PeerDesk();
    desk.want(claim, blob).brought();
    for (const other of [
      { ...claim, namespace: 'team-b' },
      { ...claim, source: 'oci:r.test/team' },
    ]) {
      expect(desk.answer(other, blob, 'b').state).toBe('none');
      expect(desk.hasBrought(other, blob)).toBe(false);
    }
  });
});

const patience = { stallMs: 1, wantedMs: 1, aloneMs: 1 };

/** Two nodes that want one blob and ask each other, step by step in any order: node 0 goes first. */
const race = (order: readonly boolean[]): number => {
  const desks = [new PeerDesk(), new PeerDesk()] as const;
  const makeNode = function* (me: 0 | 1): Generator<void, boolean> {
    const other = me === 0 ? 1 : 0;
    const want = desks[me].want(claim, blob);
    for (let round = 0; round < 50; round++) {
      yield;
      want.listen();
      yield;
      const said = desks[other].answer(claim, blob, String(me));
      yield;
      const heard = { ...said, name: String(other), quietMs: 0, sinceMs: 0, waitedMs: 0 };
      const ahead = new Set(me === 0 ? [] : ['0']);
      if (stepOf([heard], ahead, want.askers(), patience).do === 'wait') continue;
      want.coming(0);
      return true;
    }
    return false;
  };
  const nodes = [makeNode(0), makeNode(1)];
  const fetched = [false, false];
  const turn = (index: number): void => {
    const { done, value } = nodes[index]?.next() ?? {};
    if (done === true && value === true) fetched[index] = true;
  };
  for (const first of order) turn(first ? 0 : 1);
  for (let i = 0; i < 400; i++) for (const index of [0, 1]) turn(index);
  return fetched.filter(Boolean).length;
};

describe('two nodes that want one blob', () => {
  it('never both fetch it, in whatever order they begin, ask and decide', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 60 }), (order) => {
        expect(race(order)).toBe(1);
      }),
    );
  });
});
