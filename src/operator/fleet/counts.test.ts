import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import { countsToWire } from '../../control/arm-counts.ts';
import { elsewhereToWire } from '../../control/rewards-wire.ts';
import { Report, RolloutReport } from '../../gen/adaptlet/control/v1/control.ts';
import { ArmCounter } from '../../rollout/judge/counts.ts';
import { maxElsewhere, originOf } from '../../rollout/judge/elsewhere.ts';
import { evenArm } from '../../rollout/judge/judge.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { maxCounts } from './counts.ts';
import { RelayedRuntimes } from './relay-server.ts';
import { FleetStore, local } from './store.ts';
import { runtimeToWire } from './to-wire.ts';
import { changeFromWire } from './update.ts';

const node = objectKey('nodes', 'n1');
const sql = objectKey('team-a', 'sql');
const info = {
  version: '1',
  baseModel: 'm',
  baseDigest: fakeDigest('0'),
  executionProvider: 'e',
  node: 'n1',
  pod: 'p',
  ownerUid: 'o',
  maxRank: 256,
};
const idle = new ArmCounter().snapshot();
const counts = (weight: number, seq: number, requests = seq) =>
  countsToWire({ weight, seq, stable: evenArm(requests, 0).snapshot(), canary: idle });

const open = () => {
  const fleet = new FleetStore({ clock: new FakeClock() });
  const tell = (of: Partial<RolloutReport>, whole = false, key: string = sql) => {
    const rollout = {
      ...RolloutReport.create(),
      key,
      uid: 'r1',
      canaryDigest: fakeDigest('2'),
      attempt: 1,
      ...of,
    };
    fleet.update(local, {
      key: node,
      kind: 'Node',
      instance: 'i',
      connectionSeq: 1n,
      ...(whole ? { opened: { connectedAt: 1, info } } : {}),
      change: changeFromWire({ ...Report.create(), whole, rollouts: [rollout] }),
    });
  };
  const seen = () =>
    fleet
      .get(node)
      ?.rollouts.get(sql)
      ?.counts.map(({ weight, seq }) => [weight, seq]);
  return { fleet, tell, seen };
};

describe('counts of a runtime', () => {
  it('stay where a report says nothing of their weight', () => {
    const { tell, seen } = open();
    tell({ counts: [counts(5, 3), counts(25, 9)] }, true);
    tell({ counts: [counts(25, 12), counts(50, 14)] });
    tell({ weight: 50 });
    expect(seen()).toEqual([
      [5, 3],
      [25, 12],
      [50, 14],
    ]);
  });

  const told = (weight: number, seq: number, numbers = [1]) =>
    elsewhereToWire({
      origin: originOf('other'),
      weight,
      seq,
      rewards: numbers.map((number) => ({ number, bucket: 0, arm: 'canary', reward: seq })),
    });

  it('are joined by what is new of feedback about answers of others, in no more than can be relayed', () => {
    const { fleet, tell } = open();
    const seen = () =>
      fleet
        .get(node)
        ?.rollouts.get(sql)
        ?.elsewhere?.unpacked()
        .map(({ weight, rewards }) => [weight, rewards.map(({ number, reward }) => [number, reward])]);
    tell({ elsewhere: [told(5, 1, [1, 2])] }, true);
    tell({ elsewhere: [told(5, 2, [2, 3])] });
    expect(seen()).toEqual([
      [
        5,
        [
          [1, 1],
          [2, 2],
          [3, 2],
        ],
      ],
    ]);
    const before = fleet.get(node)?.rollouts.get(sql)?.elsewhere;
    tell({ elsewhere: [told(5, 2, [2, 3]), told(50, 9, [])], counts: [counts(5, 3)] });
    expect(fleet.get(node)?.rollouts.get(sql)?.elsewhere).toBe(before);
    // More than a runtime keeps, bit by bit.
    const many = Array.from({ length: maxElsewhere }, (_, i) => i);
    for (const weight of [5, 20, 50]) tell({ elsewhere: [told(weight, weight, many)] });
    const state = fleet.get(node);
    if (state === undefined) throw new Error('there is no state');
    const leader = new FleetStore({ clock: new FakeClock() });
    const relayed = new RelayedRuntimes(leader, { name: 'b' });
    relayed.take({ message: { $case: 'hello', value: { replica: 'b' } } });
    relayed.take({ message: { $case: 'runtime', value: runtimeToWire(state, 'Whole') } });
    expect(leader.get(node)).toEqual(state);
    expect(seen()?.map(([weight, rewards]) => [weight, Object(rewards).length])).toEqual([
      [50, maxElsewhere],
    ]);
  });

  it('stay with feedback about answers of others, where a report says nothing of it', () => {
    const { fleet, tell } = open();
    const seen = () =>
      fleet
        .get(node)
        ?.rollouts.get(sql)
        ?.elsewhere?.unpacked()
        .map(({ weight, seq }) => [weight, seq]);
    tell({ elsewhere: [told(5, 1), told(50, 2)] }, true);
    tell({ elsewhere: [told(5, 3)], counts: [counts(5, 3)] });
    tell({ counts: [counts(5, 4)] });
    expect(seen()).toEqual([
      [5, 3],
      [50, 2],
    ]);
    expect(fleet.get(node)?.rollouts.get(sql)?.counts).toHaveLength(1);
    tell({ attempt: 2 });
    expect(seen()).toBeUndefined();
  });

  it.each<[string, Partial<RolloutReport>]>([
    ['another attempt', { attempt: 2 }],
    ['another canary', { canaryDigest: fakeDigest('3') }],
    ['another rollout of that name', { uid: 'r2' }],
    ['no canary', { canaryDigest: '', attempt: 0 }],
  ])('go with %s', (_, of) => {
    const { tell, seen } = open();
    tell({ counts: [counts(5, 3)] }, true);
    tell(of);
    expect(seen()).toEqual([]);
  });

  it('are what a report of everything says, and no more', () => {
    const { tell, seen } = open();
    tell({ counts: [counts(5, 3)] }, true);
    tell({ counts: [counts(25, 4)] }, true);
    expect(seen()).toEqual([[25, 4]]);
  });

  it('reach the leader through a relay, as a whole and when they change', () => {
    const { fleet, tell } = open();
    const leader = new FleetStore({ clock: new FakeClock() });
    const relayed = new RelayedRuntimes(leader, { name: 'b' });
    relayed.take({ message: { $case: 'hello', value: { replica: 'b' } } });
    const relay = (part: Parameters<typeof runtimeToWire>[1]) => {
      const state = fleet.get(node);
      if (state === undefined) throw new Error('there is no state');
      relayed.take({ message: { $case: 'runtime', value: runtimeToWire(state, part) } });
      expect(leader.get(node)).toEqual(state);
    };
    tell({ counts: [counts(5, 3, 200)] }, true);
    relay('Whole');
    tell({ counts: [counts(25, 4, 300)] });
    relay({ adapters: new Set(), rollouts: new Set([sql]) });
    expect(leader.get(node)?.rollouts.get(sql)?.counts).toHaveLength(2);
  });

  it('are refused when there are more than anyone has, in one report or over all rollouts', () => {
    const all = (of: number) => Array.from({ length: of }, (_, i) => counts((i % 100) + 1, 1, 0));
    const { tell } = open();
    const refused = (what: string) =>
      expect.objectContaining({ code: 'HELLO_INVALID', message: expect.stringContaining(what) });
    expect(() => tell({ counts: all(101) }, true)).toThrow(refused('counts of 101 weights'));
    tell({}, true);
    const fill = (rollouts: number) => {
      for (let i = 0; i < rollouts; i++) tell({ counts: all(100), uid: `u${i}` }, false, `team-a/r${i}`);
    };
    const most = Math.floor(maxCounts / 100);
    fill(most);
    expect(() => fill(most + 1)).toThrow(refused(`at most ${maxCounts}`));
  });
});
