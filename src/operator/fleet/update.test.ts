import { describe, expect, it } from 'vitest';
import { digestSchema, objectKey } from '../../api/names.ts';
import {
  AdapterReport,
  Hold,
  Mirror,
  Report,
  RolloutReport,
  RuntimeReport,
} from '../../gen/adaptlet/control/v1/control.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { aRuntimeState } from '../testing/fake-fleet.ts';
import { RelayedRuntimes } from './relay-server.ts';
import { FleetStore, local } from './store.ts';
import { type Part, runtimeToWire } from './to-wire.ts';
import { changeFromWire, maxReported } from './update.ts';

const digest = digestSchema.parse(`sha256:${'a'.repeat(64)}`);
const report = (more: Partial<Report>): Report => ({ ...Report.create(), ...more });
const adapter = (more: Partial<AdapterReport> = {}): AdapterReport => ({
  ...AdapterReport.create(),
  key: 'team-a/one',
  digest,
  state: 'Stored',
  ...more,
});
const rollout = (more: Partial<RolloutReport> = {}): RolloutReport => ({
  ...RolloutReport.create(),
  key: 'team-a/r',
  ...more,
});

describe('a report', () => {
  it.each<[string, Partial<Report>]>([
    ['a key that is none', { adapters: [adapter({ key: '../../etc' })] }],
    ['a digest that is none', { adapters: [adapter({ digest: 'sha256:1' })] }],
    ['an end of nothing', { goneRollouts: [''] }],
    ['a limit of no namespace', { limits: [{ namespace: '../x', limit: 'requests', refused: 1n }] }],
    ['a limit that cannot be one', { limits: [{ namespace: 'a', limit: 'x y', refused: 1n }] }],
    ['more entries than anyone has', { gone: Array.from({ length: maxReported + 1 }, () => 'a/b') }],
  ])('is refused with %s', (_, more) => {
    expect(() => changeFromWire(report(more))).toThrow(expect.objectContaining({ code: 'HELLO_INVALID' }));
  });

  it('is cut where it is too long, and its numbers are kept in bounds', () => {
    const long = 'x'.repeat(100_000);
    const modules = Array.from({ length: 1_000 }, () => long);
    const change = changeFromWire(
      report({
        adapters: [
          adapter({
            message: long,
            reason: long,
            state: long,
            targetModules: modules,
            storedBytes: 2n ** 64n - 1n,
          }),
        ],
        rollouts: [
          rollout({
            weight: 4_000_000_000,
            holds: Array.from({ length: 1_000 }, () => Hold.create({ digest })),
          }),
        ],
      }),
    );
    const state = change.adapters.get(objectKey('team-a', 'one'));
    expect(state?.message).toHaveLength(4_096);
    expect(state?.targetModules).toHaveLength(64);
    expect(state?.storedBytes).toBe(Number.MAX_SAFE_INTEGER);
    expect(change.rollouts.get(objectKey('team-a', 'r'))).toMatchObject({ weight: 100 });
    expect(change.rollouts.get(objectKey('team-a', 'r'))?.holds).toHaveLength(64);
  });

  it('leaves a hold of an unknown cause to people', () => {
    const holds = [Hold.create({ digest, cause: 'Weather' }), Hold.create({ digest, cause: 'Guard' })];
    const change = changeFromWire(report({ rollouts: [rollout({ holds })] }));
    expect(change.rollouts.get(objectKey('team-a', 'r'))?.holds.map(({ cause }) => cause)).toEqual([
      'BreakGlass',
      'Guard',
    ]);
  });

  it('is the same after a relay', () => {
    const key = objectKey('nodes', 'n1');
    const [from, to] = [0, 1].map(() => new FleetStore({ clock: new FakeClock() }));
    const info = {
      version: '1',
      baseModel: 'm',
      baseDigest: digest,
      executionProvider: 'e',
      node: 'n1',
      pod: 'p',
      ownerUid: 'o',
      maxRank: 256,
    };
    from?.update(local, {
      key,
      kind: 'Pod',
      instance: 'i',
      connectionSeq: 2n ** 63n,
      opened: { connectedAt: 1_700_000_000_123, info },
      acknowledged: { adapters: 1n, rollouts: 2n, routes: 3n, runtimes: 2n ** 63n, policies: 4n },
      refused: new Map([['Route team-a/x', 'why']]),
      change: changeFromWire(
        report({
          whole: true,
          adapters: [adapter({ storedBytes: 5n, targetModules: ['q'], isFinal: true })],
          rollouts: [
            rollout({
              canaryDigest: digest,
              servedCanary: 7n,
              mirror: Mirror.fromPartial({
                percentage: 10,
                requests: 3n,
                compared: 2n,
                equal: 1n,
                similarity: 1.5,
              }),
              holds: [{ digest, cause: 'Guard', reason: 'r', attempt: 2 }],
            }),
          ],
          memory: { budgetBytes: 9n, usedBytes: 4n },
          ready: true,
          message: 'm',
          removalsHeld: { count: 2, fingerprint: 'f', remainingMs: 10n },
        }),
      ),
    });
    const state = from?.get(key);
    if (from === undefined || to === undefined || state === undefined) throw new Error('there is no state');
    const relayed = new RelayedRuntimes(to, { name: 'b' });
    relayed.take({ message: { $case: 'hello', value: { replica: 'b' } } });
    relayed.take({ message: { $case: 'runtime', value: runtimeToWire(state, 'Whole') } });
    expect(to.get(key)).toEqual(state);
    relayed.close();
    to.close();
  });

  it('tells what limits refused: more is added, and a relay tells it on', () => {
    const [here, there] = [
      new FleetStore({ clock: new FakeClock() }),
      new FleetStore({ clock: new FakeClock() }),
    ];
    const key = objectKey('team-a', 'pod');
    const info = {
      version: '1',
      baseModel: 'tiny',
      baseDigest: '' as const,
      executionProvider: 'cpu',
      node: 'n1',
      pod: 'p',
      ownerUid: '',
      maxRank: 256,
    };
    const tell = (whole: boolean, limits: Report['limits']) =>
      here.update(local, {
        key,
        kind: 'Pod',
        instance: 'i',
        connectionSeq: 1n,
        ...(whole ? { opened: { info, connectedAt: 1 } } : {}),
        change: changeFromWire(report({ whole, limits })),
      });
    const of = (namespace: string, limit: string, refused: bigint) => ({ namespace, limit, refused });
    tell(true, [of('team-a', 'requests', 1n), of('team-b', 'requests', 9n)]);
    tell(false, [of('team-a', 'kvMemory', 2n)]);
    const before = here.get(key)?.limits;
    tell(false, [of('team-a', 'kvMemory', 2n)]);
    // Of another namespace than its own a pod tells nothing.
    expect([...(before ?? [])]).toEqual([
      ['team-a/requests', 1],
      ['team-a/kvMemory', 2],
    ]);
    expect(here.get(key)?.limits).toBe(before);
    const relayed = new RelayedRuntimes(there, { name: 'b' });
    relayed.take({ message: { $case: 'hello', value: { replica: 'b' } } });
    const state = here.get(key);
    if (state === undefined) throw new Error('the runtime is known');
    relayed.take({ message: { $case: 'runtime', value: runtimeToWire(state, 'Whole') } });
    expect(there.get(key)?.limits).toEqual(before);
  });

  it('tells of classifiers by route: a relay tells on which changed, and nobody tells for a version that does not', () => {
    const [here, there] = [
      new FleetStore({ clock: new FakeClock() }),
      new FleetStore({ clock: new FakeClock() }),
    ];
    const key = objectKey('team-a', 'pod');
    const relayed = new RelayedRuntimes(there, { name: 'b' });
    relayed.take({ message: { $case: 'hello', value: { replica: 'b' } } });
    const routes: string[][] = [];
    there.onChange((change) => routes.push([...change.routes]));
    const relay = (part: Part) => {
      const state = here.get(key) ?? expect.fail('the runtime is known');
      const value = RuntimeReport.decode(RuntimeReport.encode(runtimeToWire(state, part)).finish());
      relayed.take({ message: { $case: 'runtime', value } });
    };
    const tell = (whole: boolean, classifiers: Report['classifiers']) =>
      here.update(local, {
        key,
        kind: 'Pod',
        instance: 'i',
        connectionSeq: 1n,
        ...(whole ? { opened: { info: aRuntimeState(key).info, connectedAt: 1 } } : {}),
        change: changeFromWire(report({ whole, classifiers })),
      });
    const of = (route: string, ...states: string[]) => ({
      key: route,
      classifiers: states.map((state) => ({ name: 'c', digest, state, message: '' })),
    });
    tell(true, undefined);
    relay('Whole');
    relay({ adapters: new Set(), rollouts: new Set(), routes: new Set() });
    expect(there.get(key)?.classifiers).toBeUndefined();
    // Of another namespace than its own a pod tells nothing.
    tell(false, { routes: [of('team-a/r', 'Pending'), of('team-b/r', 'Ready')] });
    relay('Whole');
    tell(false, { routes: [of('team-a/s', 'Ready')] });
    relay({ adapters: new Set(), rollouts: new Set(), routes: new Set([objectKey('team-a', 's')]) });
    expect(there.get(key)?.classifiers).toEqual(here.get(key)?.classifiers);
    expect([...(there.get(key)?.classifiers ?? [])].map(([route, [one]]) => [route, one?.state])).toEqual([
      ['team-a/r', 'Pending'],
      ['team-a/s', 'Ready'],
    ]);
    tell(false, { routes: [of('team-a/r')] });
    relay({ adapters: new Set(), rollouts: new Set(), routes: new Set([objectKey('team-a', 'r')]) });
    expect([...(there.get(key)?.classifiers?.keys() ?? [])]).toEqual(['team-a/s']);
    expect(routes).toEqual([[], [], ['team-a/r'], ['team-a/s'], ['team-a/r']]);
  });

  it('is taken from no relay without a Hello', () => {
    const relayed = new RelayedRuntimes(new FleetStore({ clock: new FakeClock() }), { name: 'b' });
    expect(() =>
      relayed.take({ message: { $case: 'gone', value: { namespace: 'a', name: 'b', kind: 1 } } }),
    ).toThrow(expect.objectContaining({ code: 'HELLO_INVALID' }));
  });
});
