import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import { countsToWire } from '../../control/arm-counts.ts';
import {
  AdapterReport,
  RelayRequest,
  Report,
  RolloutReport,
  RouteClassifiers,
  type RuntimeReport,
} from '../../gen/adaptlet/control/v1/control.ts';
import { evenArm } from '../../rollout/judge/judge.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FleetStore, local } from './store.ts';
import { runtimeToWire } from './to-wire.ts';
import { changeFromWire, maxReported } from './update.ts';

const key = objectKey('adaptlet-system', 'node-1');
const info = {
  version: '1',
  baseModel: 'tiny',
  baseDigest: '' as const,
  executionProvider: 'cpu',
  node: 'n1',
  pod: 'p',
  ownerUid: 'u',
  maxRank: 8,
};
/** Of the message that a replica relays a runtime in. */
const maxMessageBytes = 16 << 20;

let fleet: FleetStore;
const about = { key, kind: 'Node' as const, instance: 'i', connectionSeq: 1n };
const told = (report: Partial<Report>): boolean =>
  fleet.update(local, { ...about, change: changeFromWire({ ...Report.create(), ...report }) });
beforeEach(() => {
  fleet = new FleetStore({ clock: new FakeClock() });
  const change = changeFromWire({ ...Report.create(), whole: true });
  fleet.update(local, { ...about, opened: { info, connectedAt: 1 }, change });
});

const long = '€'.repeat(4_096);
const arm = evenArm(10, 1).snapshot();
/** Some of what a report has, other each time. */
const parts: [string, (n: number) => Partial<Report>][] = [
  [
    'messages',
    (n) => ({
      adapters: Array.from({ length: 100 }, (_, i) =>
        AdapterReport.fromPartial({ key: `team-a/a-${n}-${i}`, message: long }),
      ),
    }),
  ],
  [
    'names of modules',
    (n) => ({
      adapters: Array.from({ length: 20 }, (_, i) =>
        AdapterReport.fromPartial({
          key: `team-a/a-${n}-${i}`,
          targetModules: Array.from({ length: 64 }, () => '€'.repeat(256)),
        }),
      ),
    }),
  ],
  [
    'what is held back',
    (n) => ({
      rollouts: [
        RolloutReport.fromPartial({
          key: `team-a/r-${n}`,
          holds: Array.from({ length: 64 }, () => ({ digest: fakeDigest('1'), reason: long })),
        }),
      ],
    }),
  ],
  [
    'counts',
    (n) => ({
      rollouts: [
        RolloutReport.fromPartial({
          key: `team-a/r-${n}`,
          counts: Array.from({ length: 100 }, (_, i) =>
            countsToWire({ weight: i + 1, seq: 1, stable: arm, canary: arm }),
          ),
        }),
      ],
    }),
  ],
  [
    'classifiers',
    (n) => ({
      classifiers: {
        routes: Array.from({ length: 20 }, (_, i) =>
          RouteClassifiers.fromPartial({
            key: `team-a/c-${n}-${i}`,
            classifiers: Array.from({ length: 8 }, () => ({ name: 'c', state: 'Failed', message: long })),
          }),
        ),
      },
    }),
  ],
];
const relayed = (): number => {
  const state = fleet.get(key);
  if (state === undefined) throw new Error('the runtime is known');
  const value: RuntimeReport = runtimeToWire(state, 'Whole');
  return RelayRequest.encode({ message: { $case: 'runtime', value } }).finish().length;
};

describe('what is kept of one runtime', () => {
  it.each(parts)('never is more than can be relayed, however many reports brought %s', (_, part) => {
    const tell = (): void => {
      for (let n = 0; n < 1_000; n += 1) told(part(n));
    };
    expect(tell).toThrow(expect.objectContaining({ code: 'HELLO_INVALID' }));
    expect(relayed()).toBeLessThan(maxMessageBytes);
  });

  it('has classifiers of no more routes than it may have adapters, however many reports brought them', () => {
    const routes = (from: number, count: number, classifiers: object[] = [{}]) =>
      told({
        classifiers: {
          routes: Array.from({ length: count }, (_, i) =>
            RouteClassifiers.fromPartial({ key: `team-a/c-${from + i}`, classifiers }),
          ),
        },
      });
    routes(0, maxReported);
    expect(() => routes(maxReported, 1)).toThrow(expect.objectContaining({ code: 'HELLO_INVALID' }));
    routes(0, 1, []);
    routes(maxReported, 1);
    expect(fleet.get(key)?.classifiers?.size).toBe(maxReported);
  });

  it('holds on to nothing that was cut off', async () => {
    // Flags count from the next context on.
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const heap = async (): Promise<number> => {
      for (let turn = 0; turn < 5; turn += 1) {
        gc();
        await setImmediate();
      }
      // Long strings that were read from bytes are outside of the heap.
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = await heap();
    for (let n = 0; n < 30; n += 1) {
      const adapter = AdapterReport.fromPartial({ key: `team-a/a-${n}`, message: 'x'.repeat(2 << 20) });
      // As it comes from a stream.
      told(Report.decode(Report.encode({ ...Report.create(), adapters: [adapter] }).finish()));
    }
    expect(fleet.get(key)?.adapters.size).toBe(30);
    expect((await heap()) - before).toBeLessThan(10 << 20);
  });

  it('is as much as an honest one has: 20,000 adapters, and counts of 512 weights', () => {
    for (let n = 0; n < 20; n += 1)
      told({
        adapters: Array.from({ length: 1_000 }, (_, i) =>
          AdapterReport.fromPartial({
            key: `team-of-some-people/sentiment-of-answers-${n}-${i}`,
            uid: '0'.repeat(36),
            digest: fakeDigest('1'),
            state: 'Resident',
            storedBytes: 10_000_000n,
            residentBytes: 10_000_000n,
            neededBytes: 10_000_000n,
            rank: 16,
            targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
          }),
        ),
      });
    for (let n = 0; n < 6; n += 1) told(parts[3]?.[1](n) ?? {});
    expect(fleet.get(key)?.adapters.size).toBe(20_000);
    expect(relayed()).toBeLessThan(maxMessageBytes);
  });

  it('is what it said last: news of the same, and what is gone, take no more room', () => {
    for (let n = 0; n < 200; n += 1) told({ adapters: parts[0]?.[1](n % 2 === 0 ? 0 : 1).adapters ?? [] });
    for (let n = 0; n < 200; n += 1) {
      const { adapters = [], rollouts = [] } = { ...parts[0]?.[1](n), ...parts[2]?.[1](n) };
      told({ adapters, rollouts });
      const gone = adapters.map((each) => each.key);
      told({ gone: [...gone, ...gone], goneRollouts: rollouts.map((each) => each.key) });
    }
    for (let n = 0; n < 200; n += 1) {
      const { classifiers } = parts[4]?.[1](n) ?? {};
      told({ classifiers });
      told({
        classifiers: { routes: (classifiers?.routes ?? []).map((of) => ({ ...of, classifiers: [] })) },
      });
    }
    expect(fleet.get(key)?.classifiers?.size).toBe(0);
    for (let n = 0; n < 20; n += 1) told({ whole: true, ...parts[0]?.[1](n) });
    expect(fleet.get(key)?.adapters.size).toBe(100);
    expect(fleet.get(key)?.rollouts.size).toBe(0);
  });
});
