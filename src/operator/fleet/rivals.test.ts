import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../api/names.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { anAdapterState } from '../testing/fake-fleet.ts';
import { disconnectedAfterMs } from './absences.ts';
import type { FleetChange } from './fleet.ts';
import { info, node, one, two } from './store.fixture.ts';
import { FleetStore, type LocalEvent, local, type Source } from './store.ts';
import type { Update } from './update.ts';

type Said = Readonly<Record<string, string>>;
const told = (connectionSeq: bigint, said: Said, more: Partial<Update> = {}): Update => ({
  key: node,
  kind: 'Node',
  instance: 'i',
  connectionSeq,
  change: {
    whole: more.opened !== undefined,
    adapters: new Map(
      Object.entries(said).map(([key, state]) => [key as ObjectKey, anAdapterState('u', '', state)]),
    ),
    gone: [],
    rollouts: new Map(),
    goneRollouts: [],
  },
  ...more,
});
const opened = (connectionSeq: bigint, connectedAt: number, said: Said): Update =>
  told(connectionSeq, said, { opened: { info, connectedAt } });

let clock: FakeClock;
let fleet: FleetStore;
let changes: FleetChange[];
let locals: (readonly [ObjectKey, unknown])[];
const b: Source = { name: 'b' };
beforeEach(() => {
  clock = new FakeClock(0);
  fleet = new FleetStore({ clock });
  changes = [];
  locals = [];
  fleet.onChange((each) => changes.push(each));
  fleet.onLocal(({ key, change }: LocalEvent) =>
    locals.push([key, typeof change === 'string' ? change : 'Changed']),
  );
});
const said = () =>
  Object.fromEntries([...(fleet.get(node)?.adapters ?? [])].map(([key, { state }]) => [key, state]));

/** The runtime lost its disk, and its clock went back: it counts its connections from a lower number. */
describe('a runtime whose former stream hangs while it comes with a lower connectionSeq', () => {
  it('is never shown as away: once the stream that hangs is over, the other one counts', () => {
    fleet.update(local, opened(900n, 1_000, { [one]: 'Resident', [two]: 'Resident' }));
    expect(fleet.update(b, opened(3n, 50_000, { [one]: 'Fetching', [two]: 'Resident' }))).toBe(false);
    fleet.update(b, told(3n, { [one]: 'Stored' }));
    // Until then nobody hears of it.
    expect([said(), changes.length]).toEqual([{ [one]: 'Resident', [two]: 'Resident' }, 1]);
    fleet.gone(local, node, 900n);
    expect(said()).toEqual({ [one]: 'Stored', [two]: 'Resident' });
    expect(changes.at(-1)).toMatchObject({ connection: true, adapters: new Set([one]), acknowledged: true });
    fleet.update(b, told(3n, { [one]: 'Resident' }));
    clock.advance(10 * disconnectedAfterMs);
    expect(said()).toEqual({ [one]: 'Resident', [two]: 'Resident' });
    expect(fleet.get(node)).toMatchObject({ connected: true, connectionSeq: 3n });
    expect(locals).toEqual([
      [node, 'Opened'],
      [node, 'Gone'],
    ]);
  });

  it('counts as one of this replica, where it came here and the other one hangs elsewhere', () => {
    fleet.update(b, opened(900n, 1_000, { [one]: 'Resident' }));
    fleet.update(local, opened(3n, 50_000, { [one]: 'Stored' }));
    expect([[...fleet.heldBy(local)], locals]).toEqual([[], []]);
    fleet.lost(b);
    expect([said(), locals]).toEqual([{ [one]: 'Stored' }, [[node, 'Opened']]]);
    clock.advance(10 * disconnectedAfterMs);
    expect(fleet.get(node)?.connected).toBe(true);
  });

  it('counts also where both numbers are the same', () => {
    fleet.update(local, opened(3n, 1_000, { [one]: 'Resident' }));
    fleet.update(b, opened(3n, 50_000, { [one]: 'Stored' }));
    fleet.gone(local, node, 3n);
    expect([said(), fleet.get(node)?.connectedAt]).toEqual([{ [one]: 'Stored' }, 50_000]);
  });

  it('counts where one replica has both, and tells of the newer one only', () => {
    fleet.update(b, opened(900n, 1_000, { [one]: 'Resident' }));
    fleet.update(b, opened(3n, 50_000, { [one]: 'Stored' }));
    expect([said(), fleet.get(node)?.connectionSeq]).toEqual([{ [one]: 'Stored' }, 3n]);
  });

  it('is gone when neither is there any more', () => {
    fleet.update(local, opened(900n, 1_000, { [one]: 'Resident' }));
    fleet.update(b, opened(3n, 50_000, { [one]: 'Stored' }));
    fleet.gone(b, node);
    fleet.gone(local, node, 900n);
    expect(said()).toEqual({ [one]: 'Resident' });
    clock.advance(disconnectedAfterMs);
    expect(fleet.get(node)?.connected).toBe(false);
  });

  it('is not what was on its way for long: a stream that was opened before is none of two', () => {
    fleet.update(local, opened(900n, 50_000, { [one]: 'Resident' }));
    fleet.update(b, opened(899n, 1_000, { [one]: 'Stored' }));
    fleet.gone(local, node, 900n);
    expect(said()).toEqual({ [one]: 'Resident' });
  });

  it('is still known after a relay that was interrupted told of the stream that hangs once more', () => {
    fleet.update(b, opened(900n, 1_000, { [one]: 'Resident' }));
    const c: Source = { name: 'c' };
    fleet.update(c, opened(3n, 50_000, { [one]: 'Stored' }));
    fleet.lost(b);
    const again: Source = { name: 'b' };
    fleet.update(again, opened(900n, 1_000, { [one]: 'Resident' }));
    expect(fleet.get(node)?.connectionSeq).toBe(900n);
    fleet.update(c, told(3n, { [one]: 'Resident' }));
    fleet.gone(again, node);
    expect([said(), fleet.get(node)?.connectionSeq]).toEqual([{ [one]: 'Resident' }, 3n]);
  });

  it('is shown as its last connection says, in whatever order replicas tell', () => {
    const connection = fc.record({
      replica: fc.constantFrom('a', 'b', 'c'),
      states: fc.array(fc.constantFrom('Stored', 'Resident', 'Failed'), { minLength: 1, maxLength: 3 }),
    });
    const plan = fc.record({
      connections: fc.array(connection, { minLength: 1, maxLength: 5 }),
      lostDiskAt: fc.nat(5),
      hang: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
      order: fc.array(fc.nat(2), { maxLength: 60 }),
    });
    fc.assert(
      fc.property(plan, ({ connections, lostDiskAt, hang, order }) => {
        const store = new FleetStore({ clock: new FakeClock(0) });
        const queues = new Map<string, (() => void)[]>();
        const hanging: [string, () => void][] = [];
        for (const [index, { replica, states }] of connections.entries()) {
          const source = sources[replica] ?? expect.fail();
          // Where the disk was lost numbers begin anew.
          const seq = BigInt(index < lostDiskAt ? 100 + index : index);
          const queue = queues.get(replica) ?? [];
          queues.set(replica, queue);
          // A replica has one stream of a runtime: the older ends before it takes the next one.
          for (const [at, [name, end]] of [...hanging.entries()].toReversed())
            if (name === replica) {
              queue.push(end);
              hanging.splice(at, 1);
            }
          for (const [step, state] of states.entries())
            queue.push(() =>
              store.update(
                source,
                step === 0 ? opened(seq, index * 1_000, { [one]: state }) : told(seq, { [one]: state }),
              ),
            );
          const end = (): void => store.gone(source, node, seq);
          if (index === connections.length - 1) continue;
          if (hang[index]) hanging.push([replica, end]);
          else queue.push(end);
        }
        for (const [replica, end] of hanging) queues.get(replica)?.push(end);
        const lists = [...queues.values()];
        for (const pick of order) lists[pick % lists.length]?.shift()?.();
        for (const list of lists) for (const step of list) step();
        const last = connections.at(-1);
        expect(store.get(node)?.connectedAt).toBe((connections.length - 1) * 1_000);
        expect(store.get(node)?.adapters.get(one)?.state).toBe(last?.states.at(-1));
      }),
      { numRuns: 2_000 },
    );
  });
});

const sources: Readonly<Record<string, Source>> = { a: { name: 'a' }, b: { name: 'b' }, c: { name: 'c' } };
