import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { disconnectedAfterMs } from './absences.ts';
import type { FleetChange } from './fleet.ts';
import { change, digest, info, node, one, opened, two, update } from './store.fixture.ts';
import { FleetStore, local, type Source } from './store.ts';
import { type Change, maxLimits, type Update } from './update.ts';

let clock: FakeClock;
let fleet: FleetStore;
let changes: FleetChange[];
const b: Source = { name: 'b' };
beforeEach(() => {
  clock = new FakeClock(0);
  fleet = new FleetStore({ clock });
  changes = [];
  fleet.onChange((each) => changes.push(each));
});
const adapters = () => [...(fleet.get(node)?.adapters ?? [])].map(([key, { state }]) => `${key} ${state}`);

const manyLimits = (): NonNullable<Change['limits']> =>
  new Map(Array.from({ length: maxLimits + 1 }, (_, number) => [`team-a/limit${number}`, 1]));

it.each([
  [
    'on the same connection',
    update(1n, { change: { ...change({ [two]: 'Stored' }), whole: false, limits: manyLimits() } }),
  ],
  ['on a new connection', { ...opened(2n), change: change({ [two]: 'Stored' }, { limits: manyLimits() }) }],
])('takes in nothing of what is too much %s: who follows it was told of all that it says', (_, tooMuch) => {
  fleet.update(local, opened(1n, { [one]: 'Stored' }));
  expect(() => fleet.update(local, tooMuch)).toThrow(expect.objectContaining({ code: 'HELLO_INVALID' }));
  expect([adapters(), fleet.get(node)?.connectionSeq]).toEqual([[`${one} Stored`], 1n]);
  changes.length = 0;
  fleet.update(local, opened(3n, { [one]: 'Stored', [two]: 'Stored' }));
  expect(changes.map((each) => [...each.adapters])).toEqual([[two]]);
});

describe('the fleet', () => {
  it('knows a runtime from its first report on, and tells what changed', () => {
    expect(fleet.update(local, update(1n, { change: change({}) }))).toBe(false);
    fleet.update(local, opened(1n, { [one]: 'Stored' }));
    fleet.update(local, update(1n, { change: change({ [one]: 'Resident' }, { whole: false }) }));
    expect(adapters()).toEqual([`${one} Resident`]);
    expect(changes).toMatchObject([
      { runtime: node, connection: true, adapters: new Set([one]) },
      { runtime: node, connection: false, adapters: new Set([one]) },
    ]);
  });

  it('forgets what a whole report does not have, and says so', () => {
    fleet.update(local, opened(1n, { [one]: 'Stored', [two]: 'Stored' }));
    fleet.update(local, update(1n, { change: change({ [two]: 'Stored' }) }));
    expect(adapters()).toEqual([`${two} Stored`]);
    expect(changes[1]?.adapters).toEqual(new Set([one]));
  });

  it('takes over what the newer connection says, and tells of what the older one had', () => {
    fleet.update(b, opened(1n, { [one]: 'Resident' }));
    fleet.update(local, opened(2n, { [two]: 'Stored' }));
    expect(adapters()).toEqual([`${two} Stored`]);
    expect(changes[1]).toMatchObject({ connection: false, adapters: new Set([one, two]) });
  });

  it('drops what an older connection says', () => {
    fleet.update(local, opened(2n, { [two]: 'Stored' }));
    expect(fleet.update(b, opened(1n, { [one]: 'Resident' }))).toBe(false);
    expect(fleet.update(b, update(1n, { change: change({}) }))).toBe(false);
    expect(adapters()).toEqual([`${two} Stored`]);
  });

  it('believes a lower connectionSeq that was opened after the higher one was over: the disk was lost', () => {
    fleet.update(local, opened(9n));
    fleet.gone(local, node, 9n);
    const late = { ...opened(1n, { [one]: 'Stored' }), opened: { info, connectedAt: 20_000 } };
    expect(fleet.update(b, opened(1n))).toBe(false);
    expect(fleet.update(b, late)).toBe(true);
    clock.advance(disconnectedAfterMs);
    expect(fleet.get(node)).toMatchObject({ connected: true, connectionSeq: 1n });
  });

  it.each(['gone first', 'gone late'])('never shows a runtime as disconnected that moves: %s', (order) => {
    fleet.update(b, opened(1n));
    if (order === 'gone first') fleet.gone(b, node);
    clock.advance(disconnectedAfterMs - 1);
    fleet.update(local, opened(2n));
    if (order === 'gone late') fleet.gone(b, node);
    clock.advance(10 * disconnectedAfterMs);
    expect(fleet.get(node)).toMatchObject({ connected: true });
    expect(fleet.get(node)).not.toHaveProperty('disconnectedAt');
    expect(changes.filter(({ connection }) => connection)).toHaveLength(1);
  });

  it('shows it as disconnected when nobody has it for ten seconds, since it was lost', () => {
    fleet.update(local, opened(1n, { [one]: 'Resident' }));
    clock.advance(5_000);
    fleet.gone(local, node, 1n);
    clock.advance(disconnectedAfterMs);
    expect(fleet.get(node)).toMatchObject({ connected: false, disconnectedAt: 5_000 });
    expect(adapters()).toEqual([`${one} Resident`]);
    expect(changes.at(-1)).toMatchObject({ connection: true });
  });

  it('keeps what a replica relayed while that replica reconnects', () => {
    fleet.update(b, opened(1n, { [one]: 'Resident' }));
    fleet.lost(b);
    clock.advance(disconnectedAfterMs - 1);
    const again: Source = { name: 'b' };
    fleet.update(again, opened(1n, { [one]: 'Resident' }));
    clock.advance(disconnectedAfterMs);
    expect(fleet.get(node)?.connected).toBe(true);
    expect(changes.map(({ connection }) => connection)).toEqual([true, false]);
    // What the former stream still had on its way.
    expect(fleet.update(b, update(1n, { change: change({}) }))).toBe(false);
    expect(adapters()).toEqual([`${one} Resident`]);
  });

  it('tells a relay of its own runtimes only', () => {
    const events: unknown[] = [];
    fleet.onLocal(({ key, change: what }) => events.push([key, typeof what === 'string' ? what : 'Changed']));
    fleet.update(local, opened(1n));
    fleet.update(local, update(1n, { change: change({ [one]: 'Stored' }) }));
    fleet.gone(local, node, 1n);
    fleet.update(local, opened(1n));
    fleet.update(b, { ...opened(1n), key: objectKey('nodes', 'n2') });
    expect(events).toEqual([
      [node, 'Opened'],
      [node, 'Changed'],
      [node, 'Gone'],
      [node, 'Opened'],
    ]);
    expect([...fleet.heldBy(local)].map(({ key }) => key)).toEqual([node]);
  });

  it('forgets a runtime that has been away for an hour, and says of which adapters it knew something', () => {
    fleet.update(local, opened(1n, { [one]: 'Stored' }));
    fleet.gone(local, node);
    clock.advance(disconnectedAfterMs + 3_600_001);
    fleet.update(local, { ...opened(1n), key: objectKey('nodes', 'n2') });
    fleet.gone(local, objectKey('nodes', 'n2'));
    changes.length = 0;
    clock.advance(disconnectedAfterMs);
    expect([...fleet.all()].map(({ key }) => key)).toEqual(['nodes/n2']);
    expect(changes.at(-1)).toMatchObject({ runtime: node, connection: false, adapters: new Set([one]) });
  });

  it('has removals that are held back only while there are some', () => {
    const held = { count: 3, fingerprint: 'f', remainingMs: 1_000 };
    fleet.update(local, { ...opened(1n), change: change({}, { removalsHeld: held }) });
    expect(fleet.get(node)?.removalsHeld).toEqual(held);
    fleet.update(local, update(1n, { change: change({}, { whole: false }) }));
    expect(fleet.get(node)?.removalsHeld).toEqual(held);
    fleet.update(local, update(1n, { change: change({}, { removalsHeld: { ...held, count: 0 } }) }));
    expect(fleet.get(node)).not.toHaveProperty('removalsHeld');
  });
});

describe('reports in any order', () => {
  /**
   * A runtime goes from replica to replica. Each stream from a replica to the leader keeps its order and may break at any
   * message; then the replica says everything anew. Streams are read in any order, so what is told is late by any amount.
   */
  type Message = { readonly source: Source; readonly apply: (store: FleetStore) => void };
  const replica = fc.constantFrom('a', 'b', 'c');
  const connection = fc.record({
    replica,
    states: fc.array(fc.constantFrom('Stored', 'Resident', 'Failed'), { minLength: 1, maxLength: 4 }),
  });
  const plan = fc.record({
    connections: fc.array(connection, { minLength: 1, maxLength: 5 }),
    breaks: fc.array(fc.nat(30), { maxLength: 4 }),
    order: fc.array(fc.nat(2), { maxLength: 60 }),
  });

  it('lead to what the newest connection said last', () => {
    fc.assert(
      fc.property(plan, ({ connections, breaks, order }) => {
        const streams = new Map<string, Message[]>();
        const sources = new Map<string, Source>();
        let sent = 0;
        const say = (
          name: string,
          apply: (store: FleetStore, source: Source) => void,
          retell?: Update,
        ): void => {
          const messages = streams.get(name) ?? [];
          streams.set(name, messages);
          const source = sources.get(name) ?? { name };
          sources.set(name, source);
          messages.push({ source, apply: (store) => apply(store, source) });
          if (!breaks.includes(sent++)) return;
          // The stream breaks after this message, and the next one begins with everything.
          const next: Source = { name };
          sources.set(name, next);
          messages.push({ source, apply: (store) => store.lost(source) });
          if (retell !== undefined)
            messages.push({ source: next, apply: (store) => void store.update(next, retell) });
        };
        for (const [index, { replica: name, states }] of connections.entries()) {
          const seq = BigInt(index + 1);
          states.forEach((state, step) => {
            const whole = opened(seq, { [one]: state });
            const delta = update(seq, { change: change({ [one]: state }, { whole: false }) });
            say(name, (store, source) => void store.update(source, step === 0 ? whole : delta), whole);
          });
          const isLast = index === connections.length - 1;
          if (!isLast) say(name, (store, source) => store.gone(source, node));
        }
        const time = new FakeClock(0);
        const store = new FleetStore({ clock: time });
        let shownAsGone = false;
        store.onChange(() => {
          shownAsGone ||= store.get(node)?.connected === false;
        });
        const queues = [...streams.values()];
        for (const pick of order) queues[pick % queues.length]?.shift()?.apply(store);
        for (const queue of queues) for (const message of queue) message.apply(store);
        time.advance(disconnectedAfterMs);
        const last = connections.at(-1);
        expect(store.get(node)).toMatchObject({ connected: true, connectionSeq: BigInt(connections.length) });
        expect(store.get(node)?.adapters.get(one)?.state).toBe(last?.states.at(-1));
        // All of it happened within the grace.
        expect(shownAsGone).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it('may be told twice: counters are cumulative', () => {
    const rollout = objectKey('team-a', 'r');
    const served = (canary: number): Change =>
      change(
        {},
        {
          whole: false,
          rollouts: new Map([
            [
              rollout,
              {
                uid: 'u',
                stableDigest: digest,
                canaryDigest: digest,
                attempt: 1,
                weight: 5,
                effectiveWeight: 5,
                served: { stable: 95, canary },
                holds: [],
                counts: [],
              },
            ],
          ]),
        },
      );
    fleet.update(local, opened(1n));
    for (const canary of [1, 5, 5, 5]) fleet.update(local, update(1n, { change: served(canary) }));
    // After the first one only counts are other.
    expect(changes.map(({ decisive }) => decisive.size)).toEqual([0, 1, 0, 0, 0]);
    expect(fleet.get(node)?.rollouts.get(rollout)?.served.canary).toBe(5);
  });

  it('that have everything tell what is other than before, on a new connection and on the same', () => {
    fleet.update(local, opened(1n, { [one]: 'Stored', [two]: 'Stored' }));
    fleet.update(local, opened(2n, { [one]: 'Stored', [two]: 'Resident' }));
    expect(changes.at(-1)).toMatchObject({ connection: false, adapters: new Set([two]) });
    // Told anew, as by a relay that was interrupted.
    fleet.update(local, opened(2n, { [one]: 'Stored', [two]: 'Loaded' }));
    expect(changes.at(-1)).toMatchObject({ connection: false, adapters: new Set([two]) });
    fleet.update(local, opened(3n, { [two]: 'Loaded' }));
    expect(changes.at(-1)).toMatchObject({ connection: false, adapters: new Set([one]) });
  });

  it('open a connection only with everything: what is missing would not be known to be gone', () => {
    fleet.update(local, opened(1n, { [one]: 'Stored' }));
    const { change: told, ...empty } = opened(2n, { [two]: 'Stored' });
    expect(fleet.update(local, empty)).toBe(false);
    const part = told && { change: { ...told, whole: false } };
    expect(fleet.update(local, { ...empty, ...part })).toBe(false);
    expect(adapters()).toEqual([`${one} Stored`]);
  });

  it('take nothing from a pod about other namespaces, neither from its stream nor from a relay', () => {
    const pod = objectKey('team-a', 'pod-1');
    const there = objectKey('team-b', 'one');
    const told = opened(1n, { [one]: 'Failed', [there]: 'Failed' });
    const refused = new Map([`Route ${one}`, `Route ${there}`].map((key) => [key, 'no room']));
    for (const [source, seq, news] of [
      [local, 1n, [one]],
      // It says the same once more.
      [{ name: 'other' }, 2n, []],
    ] as const) {
      fleet.update(source, { ...told, key: pod, kind: 'Pod', connectionSeq: seq, refused });
      expect([...(fleet.get(pod)?.adapters.keys() ?? [])]).toEqual([one]);
      expect([...(fleet.get(pod)?.refused.keys() ?? [])]).toEqual([`Route ${one}`]);
      expect(changes.at(-1)).toMatchObject({ scope: 'team-a', adapters: new Set(news) });
    }
    fleet.update(local, told);
    expect(fleet.get(node)?.adapters.size).toBe(2);
    expect(changes.at(-1)?.scope).toBeUndefined();
  });
});
