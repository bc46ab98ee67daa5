import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { RuntimeReport } from '../../gen/adaptlet/control/v1/control.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { anAdapterState, aRuntimeState, runtimeKey } from '../testing/fake-fleet.ts';
import type { RuntimeState } from './fleet.ts';
import { ToldExamples } from './relay-examples.ts';
import { RelayedRuntimes } from './relay-server.ts';
import { FleetStore } from './store.ts';

const keyOf = (at: number) => objectKey('team-a', `adapter-${at}`);
const runtimeOf = (name: string, count: number, resident: readonly number[] = [], more = {}): RuntimeState =>
  aRuntimeState(runtimeKey(name), {
    adapters: new Map(
      Array.from({ length: count }, (_, at) => [
        keyOf(at),
        anAdapterState(
          `8a0e2f4c-0000-4000-8000-${at}`,
          `sha256:${'a'.repeat(64)}` as never,
          resident.includes(at) ? 'Resident' : 'Stored',
          { storedBytes: 40_000_000 + at, rank: 16, targetModules: ['q_proj', 'v_proj'] },
        ),
      ]),
    ),
    ...more,
  });
const sorted = <T>(map: ReadonlyMap<string, T> | undefined) =>
  [...(map ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));

/** A replica that tells a leader, over the wire. */
const relay = () => {
  const fleet = new FleetStore({ clock: new FakeClock() });
  const heard = new RelayedRuntimes(fleet, { name: 'b' });
  heard.take({ message: { $case: 'hello', value: { replica: 'b' } } });
  const told = new ToldExamples();
  const take = (value: RuntimeReport): number => {
    const bytes = RuntimeReport.encode(value).finish();
    heard.take({ message: { $case: 'runtime', value: RuntimeReport.decode(bytes) } });
    return bytes.length;
  };
  return { fleet, take, tell: (state: RuntimeState) => take(told.wholeOf(state)) };
};

describe('what a replica tells a new leader of all its runtimes', () => {
  it('has each adapter once, and what is other than that of each runtime', () => {
    const { fleet, tell } = relay();
    const states = [
      runtimeOf('a', 5_000),
      runtimeOf('b', 5_000),
      runtimeOf('c', 5_000, [7, 8]),
      runtimeOf('d', 4_999),
      runtimeOf('e', 5_000),
    ];
    const bytes = states.map(tell);
    for (const { key, adapters } of states)
      expect(sorted(fleet.get(key)?.adapters)).toEqual(sorted(adapters));
    const [first = 0, ...others] = bytes;
    expect(first).toBeGreaterThan(750_000);
    for (const each of others) expect(each).toBeLessThan(25_000);
    expect(Math.min(...others)).toBeLessThan(1_000);
  });

  it('begins anew with one that is like none, and keeps kinds of runtimes apart', () => {
    const { fleet, tell } = relay();
    const other = { info: { ...runtimeOf('x', 0).info, baseModel: 'other' } };
    const states = [
      runtimeOf('a', 400),
      runtimeOf(
        'b',
        400,
        Array.from({ length: 400 }, (_, at) => at),
      ),
      runtimeOf(
        'c',
        400,
        Array.from({ length: 400 }, (_, at) => at),
      ),
      runtimeOf('d', 400, [], other),
      runtimeOf('e', 400, [], other),
      runtimeOf('f', 3),
    ];
    const bytes = states.map(tell);
    for (const { key, adapters } of states)
      expect(sorted(fleet.get(key)?.adapters)).toEqual(sorted(adapters));
    expect(bytes.map((each) => each > 20_000)).toEqual([true, true, false, true, false, false]);
  });

  it('has at most sixteen examples', () => {
    const { fleet, tell } = relay();
    for (let at = 0; at < 20; at += 1) {
      const info = { ...runtimeOf('x', 0).info, baseModel: `m-${at}` };
      tell(runtimeOf(`n-${at}`, 300, [], { info }));
      tell(runtimeOf(`o-${at}`, 300, [], { info }));
    }
    expect([...fleet.all()].map(({ adapters }) => adapters.size)).toEqual(Array(40).fill(300));
  });

  it.each([
    ['like one that was not told', { like: 3 }],
    ['as an example beyond the last number', { example: 17, exampleParts: 8 }],
    ['as an example in no parts', { example: 1, exampleParts: 0 }],
    ['as an example in very many parts', { example: 1, exampleParts: 5_000 }],
  ])('is refused with a runtime %s', (_, more) => {
    const wire = new ToldExamples().wholeOf(runtimeOf('a', 3));
    expect(() => relay().take({ ...wire, ...more })).toThrow(
      expect.objectContaining({ code: 'HELLO_INVALID' }),
    );
  });
});
