import { beforeEach, describe, expect, it } from 'vitest';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { anAdapterState } from '../testing/fake-fleet.ts';
import type { FleetChange } from './fleet.ts';
import { FleetStore, type LocalEvent, local, type Source } from './store.ts';
import { type Change, maxReported, type Update } from './update.ts';

const node = objectKey('nodes', 'n1');
const a = objectKey('team-a', 'a');
const b = objectKey('team-a', 'b');
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
const other: Source = { name: 'other' };

const change = (states: Record<string, string>, more: Partial<Change> = {}): Change => ({
  whole: false,
  adapters: new Map(
    Object.entries(states).map(([key, state]) => [key as ObjectKey, anAdapterState('u', '', state)]),
  ),
  gone: [],
  rollouts: new Map(),
  goneRollouts: [],
  ...more,
});
const about = (connectionSeq: bigint, more: Partial<Update> = {}): Update => ({
  key: node,
  kind: 'Node',
  instance: 'i',
  connectionSeq,
  ...more,
});
const opened = (seq: bigint) => ({ info, connectedAt: Number(seq) });
const whole = (seq: bigint, states: Record<string, string>) =>
  about(seq, { opened: opened(seq), change: change(states, { whole: true }) });
const stateOf = (key: ObjectKey) => fleet.get(node)?.adapters.get(key)?.state;

let clock: FakeClock;
let fleet: FleetStore;
beforeEach(() => {
  clock = new FakeClock();
  fleet = new FleetStore({ clock });
  fleet.update(local, whole(1n, { [a]: 'Stored' }));
  fleet.update(local, about(1n, { change: change({ [b]: 'Stored' }) }));
});

describe('reports that are kept of a runtime', () => {
  it('are those that its last stream to this replica brought, for a later one of the same process', () => {
    expect(fleet.kept(about(2n), info)).toEqual({ connectionSeq: 1n, count: 2n });
    fleet.update(local, about(1n, { refused: new Map() }));
    fleet.gone(local, node, 1n);
    clock.advance(60_000);
    expect(fleet.kept(about(2n), info)).toEqual({ connectionSeq: 1n, count: 2n });
  });

  it.each<[string, Update, typeof info]>([
    ['another process', about(2n, { instance: 'j' }), info],
    ['the same stream', about(1n), info],
    ['another kind', about(2n, { kind: 'Pod' }), info],
    ['another runtime', about(2n, { key: objectKey('nodes', 'n2') }), info],
    ['a runtime of another Node object', about(2n), { ...info, ownerUid: 'v' }],
    ['a runtime of another version', about(2n), { ...info, version: '2' }],
  ])('are none for %s', (_, update, said) => {
    expect(fleet.kept(update, said)).toBeUndefined();
  });

  it('are none once another replica told of it', () => {
    fleet.update(other, whole(2n, { [a]: 'Stored' }));
    expect(fleet.kept(about(3n), info)).toBeUndefined();
  });

  it('do not count what was not taken in', () => {
    const many = Array.from({ length: maxReported }, (_, i) => [objectKey('team-a', `x-${i}`), 'Stored']);
    const more = about(1n, { change: change(Object.fromEntries(many)) });
    expect(() => fleet.update(local, more)).toThrow('entries');
    expect(fleet.kept(about(2n), info)).toEqual({ connectionSeq: 1n, count: 2n });
  });

  it('are none when an hour went by and the runtime was forgotten', () => {
    fleet.gone(local, node, 1n);
    clock.advance(3_700_000);
    fleet.update(local, { ...whole(1n, {}), key: objectKey('nodes', 'n2') });
    fleet.gone(local, objectKey('nodes', 'n2'));
    clock.advance(11_000);
    expect(fleet.kept(about(2n), info)).toBeUndefined();
  });
});

describe('a connection that goes on from them', () => {
  const resume = (source: Source = local, count = 2n) =>
    fleet.update(
      source,
      about(2n, {
        opened: opened(2n),
        resumes: { connectionSeq: 1n, count },
        change: change({ [b]: 'Resident' }),
      }),
    );

  it('knows all of them, tells of what changed, and is relayed as one that begins', () => {
    fleet.gone(local, node, 1n);
    clock.advance(11_000);
    expect(fleet.get(node)?.connected).toBe(false);
    const told: FleetChange[] = [];
    const events: LocalEvent[] = [];
    fleet.onChange((each) => told.push(each));
    fleet.onLocal((each) => events.push(each));
    expect(resume()).toBe(true);
    expect([stateOf(a), stateOf(b)]).toEqual(['Stored', 'Resident']);
    expect(fleet.get(node)).toMatchObject({ connected: true, connectionSeq: 2n, connectedAt: 2 });
    expect(fleet.get(node)?.disconnectedAt).toBeUndefined();
    expect(told).toMatchObject([{ connection: true, adapters: new Set([b]) }]);
    expect(events).toEqual([{ key: node, change: 'Opened' }]);
    expect(fleet.kept(about(3n), info)).toEqual({ connectionSeq: 2n, count: 1n });
    // The end of the former stream is noticed late.
    fleet.gone(local, node, 1n);
    clock.advance(11_000);
    expect(fleet.get(node)?.connected).toBe(true);
  });

  it('is no news of a runtime that was never shown as disconnected', () => {
    fleet.gone(local, node, 1n);
    const told: FleetChange[] = [];
    fleet.onChange((each) => told.push(each));
    expect(resume()).toBe(true);
    expect(told).toMatchObject([{ connection: false, adapters: new Set([b]) }]);
  });

  it('does not begin where a report came after they were counted', () => {
    fleet.update(local, about(1n, { change: change({ [a]: 'Failed' }) }));
    expect(resume()).toBe(false);
    expect(fleet.get(node)?.connectionSeq).toBe(1n);
    expect(stateOf(b)).toBe('Stored');
  });

  it('does not begin where another replica says so', () => {
    expect(resume(other)).toBe(false);
  });

  it('does not begin where nothing is known', () => {
    fleet = new FleetStore({ clock });
    expect(resume()).toBe(false);
    expect(fleet.get(node)).toBeUndefined();
  });
});
