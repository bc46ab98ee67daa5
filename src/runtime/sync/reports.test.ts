import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Mirror, Report } from '../../gen/adaptlet/control/v1/control.ts';
import {
  AdapterReport as Adapter,
  type AdapterReport,
  BaseModelReport,
  type LimitReport,
  RolloutReport,
  RouteClassifiers,
} from '../../gen/adaptlet/control/v1/control.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { Reports } from './reports.ts';
import type { Snapshot } from './snapshot.ts';

const adapter = (key: string, more: Partial<AdapterReport> = {}) =>
  Adapter.fromPartial({ key, uid: `uid-${key}`, state: 'Stored', ...more });

/** Streams that were opened. */
let streams = 0n;

/** Reports over a snapshot that a test changes, to another end that reads at once. */
const make = () => {
  const clock = new FakeClock();
  const now = {
    adapters: new Map([['t/a', adapter('t/a')]]),
    rollouts: new Map([['t/sql', RolloutReport.fromPartial({ key: 't/sql', uid: 'r' })]]),
    memory: { budgetBytes: 1_000n, usedBytes: 0n },
    disk: { budgetBytes: 1_000n, usedBytes: 0n },
    ready: true,
    message: '',
    removalsHeld: undefined as Snapshot['removalsHeld'],
    limits: new Map<string, LimitReport>(),
    classifiers: new Map<string, RouteClassifiers>(),
    baseModel: BaseModelReport.fromPartial({ state: 'Ready' }),
  };
  const sent: { readonly at: number; readonly report: Report }[] = [];
  const reports: Reports = new Reports({
    clock,
    snapshot: () => ({
      ...now,
      adapters: new Map(now.adapters),
      rollouts: new Map(now.rollouts),
      limits: new Map(now.limits),
      classifiers: new Map(now.classifiers),
    }),
    due: () => {
      const report = reports.next();
      if (report !== undefined) sent.push({ at: clock.monotonic(), report });
    },
  });
  reports.open(++streams);
  reports.changed();
  clock.advance(0);
  const count = (stable: number) => {
    now.rollouts.set(
      't/sql',
      RolloutReport.fromPartial({ key: 't/sql', uid: 'r', servedStable: BigInt(stable) }),
    );
    reports.counted();
  };
  return { clock, now, sent, reports, count };
};

describe('reports', () => {
  const others: Required<Omit<AdapterReport, 'key'>> = {
    uid: 'another',
    digest: 'sha256:1',
    state: 'Failed',
    reason: 'X',
    message: 'why',
    isFinal: true,
    storedBytes: 1n,
    residentBytes: 1n,
    rank: 8,
    targetModules: ['q_proj'],
    neededBytes: 1n,
    inTurn: true,
  };
  it.each(Object.entries(others))('tell an adapter again when its %s is another one', (field, value) => {
    const { clock, now, sent, reports } = make();
    const before = sent.length;
    reports.changed();
    clock.advance(1000);
    expect(sent).toHaveLength(before);
    now.adapters.set('t/a', adapter('t/a', { [field]: value }));
    reports.changed();
    clock.advance(1000);
    expect(sent.at(-1)?.report.adapters).toEqual([adapter('t/a', { [field]: value })]);
  });

  it('tell the bytes of a base model on its way every two seconds, and its arrival at once', () => {
    const { clock, now, sent, reports } = make();
    const arriving = (mebibytes: number) => {
      now.message = `${mebibytes} MiB`;
      now.baseModel = BaseModelReport.fromPartial({
        state: 'Downloading',
        message: now.message,
        receivedBytes: BigInt(mebibytes) << 20n,
      });
      reports.changed();
    };
    arriving(1);
    clock.advance(1000);
    const before = sent.length;
    for (let mebibytes = 2; mebibytes <= 60; mebibytes++) {
      arriving(mebibytes);
      clock.advance(100);
    }
    const told = sent.slice(before);
    expect(told).toHaveLength(3);
    expect(told.at(-1)?.report).toMatchObject({ message: expect.stringMatching(/MiB/), ready: true });
    now.baseModel = BaseModelReport.fromPartial({ state: 'Loading' });
    reports.changed();
    clock.advance(50);
    expect(sent.at(-1)?.report.baseModel).toMatchObject({ state: 'Loading' });
  });

  it('begin with everything', () => {
    const { sent } = make();
    expect(sent).toMatchObject([
      { report: { whole: true, adapters: [{ key: 't/a' }], rollouts: [{ key: 't/sql' }], ready: true } },
    ]);
  });

  it('of states come at once, and at most every 50 ms', () => {
    const { clock, now, sent, reports } = make();
    clock.advance(1_000);
    const start = clock.monotonic();
    for (let ms = 0; ms < 500; ms++) {
      now.adapters.set('t/a', adapter('t/a', { state: `s${ms}` }));
      reports.changed();
      clock.advance(1);
    }
    const times = sent.slice(1).map(({ at }) => at - start);
    expect(times[0]).toBeLessThanOrEqual(1);
    expect(times.length).toBeLessThanOrEqual(11);
    clock.advance(50);
    expect(sent.at(-1)?.report.adapters).toMatchObject([{ state: 's499' }]);
  });

  it('of counts come every two seconds at most, and only while they grow', () => {
    const { clock, sent, count } = make();
    for (let n = 1; n <= 100; n++) {
      count(n);
      clock.advance(100);
    }
    expect(sent.length).toBeLessThanOrEqual(7);
    clock.advance(60_000);
    expect(sent.at(-1)?.report).toMatchObject({ adapters: [], rollouts: [{ servedStable: 100n }] });
    const before = sent.length;
    clock.advance(600_000);
    expect(sent).toHaveLength(before);
  });

  it('have of the counts of each weight only those that changed, and all after another attempt begins', () => {
    const { clock, now, sent, reports } = make();
    const tell = (seqs: Record<number, number>, attempt = 1) => {
      const counts = Object.entries(seqs).map(([weight, seq]) => ({
        weight: Number(weight),
        seq: BigInt(seq),
      }));
      now.rollouts.set('t/sql', RolloutReport.fromPartial({ key: 't/sql', uid: 'r', attempt, counts }));
      reports.counted();
      clock.advance(2_000);
      return sent.at(-1)?.report.rollouts[0]?.counts.map(({ weight, seq }) => [weight, Number(seq)]);
    };
    expect(tell({ 5: 1, 25: 2 })).toEqual([
      [5, 1],
      [25, 2],
    ]);
    expect(tell({ 5: 1, 25: 3 })).toEqual([[25, 3]]);
    expect(tell({ 5: 4, 25: 3 })).toEqual([[5, 4]]);
    expect(tell({ 25: 3 }, 2)).toEqual([[25, 3]]);
    const before = sent.length;
    tell({ 25: 3 }, 2);
    expect(sent).toHaveLength(before);
    reports.close();
    reports.open(++streams);
    expect(reports.next()?.rollouts[0]?.counts).toHaveLength(1);
  });

  it('tell of copies that were compared since, too', () => {
    const { clock, now, sent, reports } = make();
    const mirror = (more: Partial<Mirror>) => {
      const told = { percentage: 5, requests: 4n, ...more };
      now.rollouts.set('t/sql', RolloutReport.fromPartial({ key: 't/sql', uid: 'r', mirror: told }));
      reports.counted();
      clock.advance(2_000);
      return sent.at(-1)?.report.rollouts[0]?.mirror;
    };
    mirror({});
    expect(mirror({ compared: 2n })).toMatchObject({ requests: 4n, compared: 2n });
    expect(mirror({ compared: 2n, failed: 1n })).toMatchObject({ failed: 1n });
  });

  it('tell of classifiers from the first one on, then of the routes that changed, and which has none any more', () => {
    const { clock, now, sent, reports } = make();
    expect(sent[0]?.report.classifiers).toEqual({ routes: [] });
    const of = (key: string, state: string) =>
      RouteClassifiers.fromPartial({ key, classifiers: [{ name: 'c', digest: 'd', state }] });
    const told = (change: () => void) => {
      const before = sent.length;
      change();
      reports.changed();
      clock.advance(50);
      return sent.slice(before).map(({ report }) => report.classifiers?.routes);
    };
    expect(
      told(() => {
        now.classifiers.set('t/a', of('t/a', 'Pending'));
        now.classifiers.set('t/b', of('t/b', 'Pending'));
      }),
    ).toEqual([[of('t/a', 'Pending'), of('t/b', 'Pending')]]);
    expect(told(() => now.classifiers.set('t/b', of('t/b', 'Ready')))).toEqual([[of('t/b', 'Ready')]]);
    expect(told(() => now.classifiers.set('t/b', of('t/b', 'Ready')))).toEqual([]);
    expect(told(() => now.classifiers.delete('t/a'))).toEqual([[{ key: 't/a', classifiers: [] }]]);
  });

  it('tell what limits refused every two seconds, of each limit that refused more', () => {
    const { clock, now, sent, reports } = make();
    const refuse = (limit: string, refused: bigint): void => {
      now.limits.set(`a/${limit}`, { namespace: 'a', limit, refused });
      reports.counted();
    };
    refuse('requests', 1n);
    refuse('kvMemory', 1n);
    clock.advance(1_999);
    expect(sent).toHaveLength(1);
    clock.advance(1);
    expect(sent.at(-1)?.report.limits).toHaveLength(2);
    refuse('requests', 5n);
    clock.advance(2_000);
    expect(sent.at(-1)?.report.limits).toEqual([{ namespace: 'a', limit: 'requests', refused: 5n }]);
    const before = sent.length;
    reports.counted();
    clock.advance(2_000);
    expect(sent).toHaveLength(before);
    reports.close();
    reports.open(++streams);
    expect(reports.next()?.limits).toHaveLength(2);
  });

  it('of mirroring come at once when its percentage changed, and like counts when only copies were counted', () => {
    const { clock, now, sent, reports } = make();
    const tell = (mirror: Partial<Mirror> | undefined) => {
      now.rollouts.set('t/sql', RolloutReport.fromPartial({ key: 't/sql', uid: 'r', mirror }));
      reports.changed();
      clock.advance(50);
      return sent.at(-1)?.report.rollouts[0]?.mirror;
    };
    expect(tell({ percentage: 10 })).toMatchObject({ percentage: 10 });
    expect(tell({ percentage: 20 })).toMatchObject({ percentage: 20 });
    for (const counted of [{ requests: 1n }, { requests: 1n, dropped: 1n }]) {
      const before = sent.length;
      tell({ percentage: 20, ...counted });
      expect(sent).toHaveLength(before);
      reports.counted();
      clock.advance(2_000);
      expect(sent.at(-1)?.report.rollouts[0]?.mirror).toMatchObject(counted);
    }
    expect(tell(undefined)).toBeUndefined();
  });

  it('are not sent when a state came back to what it was', () => {
    const { clock, now, sent, reports } = make();
    now.adapters.set('t/a', adapter('t/a', { state: 'Failed' }));
    reports.changed();
    now.adapters.set('t/a', adapter('t/a'));
    clock.advance(1_000);
    expect(sent).toHaveLength(1);
  });

  it('tell the use of RAM by itself only when it moved by more than a hundredth of the budget', () => {
    const { clock, now, sent, reports } = make();
    const use = (usedBytes: bigint) => {
      now.memory = { budgetBytes: 1_000n, usedBytes };
      reports.changed();
      clock.advance(100);
    };
    for (const bytes of [3n, 6n, 9n]) use(bytes);
    expect(sent).toHaveLength(1);
    use(11n);
    expect(sent.at(-1)?.report).toMatchObject({ memory: { usedBytes: 11n }, disk: undefined, adapters: [] });
    now.adapters.set('t/a', adapter('t/a', { state: 'Resident' }));
    use(12n);
    expect(sent.at(-1)?.report).toMatchObject({
      memory: { usedBytes: 12n },
      adapters: [{ state: 'Resident' }],
    });
  });

  it('follow how far a fetch is without a change of state, and stop when it ends', () => {
    const { clock, now, sent, reports } = make();
    now.adapters.set('t/a', adapter('t/a', { state: 'Fetching', message: '1 of 9 MiB' }));
    reports.changed();
    clock.advance(100);
    now.adapters.set('t/a', adapter('t/a', { state: 'Fetching', message: '5 of 9 MiB' }));
    clock.advance(2_000);
    expect(sent.at(-1)?.report.adapters).toMatchObject([{ message: '5 of 9 MiB' }]);
    now.adapters.set('t/a', adapter('t/a'));
    clock.advance(2_000);
    const before = sent.length;
    clock.advance(60_000);
    expect(sent).toHaveLength(before);
  });

  it('tell held removals once, whatever time is left, and their end', () => {
    const { clock, now, sent, reports } = make();
    for (const remainingMs of [600_000n, 500_000n, 400_000n]) {
      now.removalsHeld = { count: 3, fingerprint: 'f', remainingMs };
      reports.changed();
      clock.advance(100);
    }
    expect(sent).toHaveLength(2);
    now.removalsHeld = undefined;
    reports.changed();
    clock.advance(100);
    expect(sent.at(-1)?.report.removalsHeld).toMatchObject({ count: 0 });
  });

  it('begin anew with everything on the next stream', () => {
    const { sent, reports } = make();
    reports.close();
    expect(reports.next()).toBeUndefined();
    reports.open(++streams);
    expect(reports.next()).toMatchObject({ whole: true, adapters: sent[0]?.report.adapters });
  });

  it('put together are always the newest state, whatever changed when', () => {
    const step = fc.record({
      key: fc.constantFrom('t/a', 't/b', 't/c'),
      what: fc.constantFrom('state', 'remove', 'serve', 'rollout'),
      ms: fc.integer({ min: 0, max: 300 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { clock, now, sent, reports, count } = make();
        for (const [i, { key, what, ms }] of steps.entries()) {
          if (what === 'state') now.adapters.set(key, adapter(key, { state: `s${i}` }));
          else if (what === 'remove') now.adapters.delete(key);
          else if (what === 'serve') count(i);
          else now.rollouts.set(key, RolloutReport.fromPartial({ key, uid: 'r', effectiveWeight: i }));
          reports.changed();
          clock.advance(ms);
        }
        clock.advance(5_000);
        const adapters = new Map<string, AdapterReport>();
        const rollouts = new Map<string, RolloutReport>();
        for (const { report } of sent) {
          for (const a of report.adapters) adapters.set(a.key, a);
          for (const key of report.gone) adapters.delete(key);
          for (const r of report.rollouts) rollouts.set(r.key, r);
        }
        expect(Object.fromEntries(adapters)).toEqual(Object.fromEntries(now.adapters));
        expect(Object.fromEntries(rollouts)).toEqual(Object.fromEntries(now.rollouts));
      }),
    );
  });
});
