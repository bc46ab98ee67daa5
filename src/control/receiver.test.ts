import { describe, expect, it } from 'vitest';
import { type Resource, resourceKey, versioned } from '../plan/resources.ts';
import { FakeClock } from '../time/fake-clock.ts';
import type { HeldPlan } from './held-plan.ts';
import { adapter, adapters, arm, at, planOf, route, split } from './plans.fixture.ts';
import { Receiver } from './receiver.ts';
import { noRevision, type Revision, revisionToWire } from './revision.ts';
import { resourceToWire } from './wire.ts';

type Options = Partial<ConstructorParameters<typeof Receiver>[0]>;
const connected = (options: Options = {}) => {
  const receiver = new Receiver({ clock: new FakeClock(), ...options });
  receiver.hello();
  receiver.welcome('cluster-1');
  return receiver;
};

type Change = { puts?: readonly Resource[]; removes?: readonly string[] };
const change = (
  receiver: Receiver,
  nonce: number,
  revision: Revision,
  { puts = [], removes = [] }: Change,
) => {
  for (const resource of puts) receiver.put(resourceToWire(versioned(resource)));
  for (const key of removes) receiver.remove(key);
  return receiver.commit({
    nonce: BigInt(nonce),
    revision: revisionToWire(revision),
    confirmedRemovals: '',
  });
};
const heldOf = (...resources: Resource[]): HeldPlan => ({
  clusterUid: 'cluster-1',
  revision: at(5),
  resources: [...planOf(...resources).values()],
  removals: [],
});
const keys = (receiver: Receiver) => [...receiver.plan.keys()];

describe('a commit', () => {
  it('puts everything since the last one in force at once, in the order of keys', () => {
    const receiver = connected();
    receiver.put(resourceToWire(versioned(split('s'))));
    receiver.put(resourceToWire(versioned(adapter('b'))));
    receiver.put(resourceToWire(versioned(adapter('a'))));
    expect(receiver.plan.size).toBe(0);
    const done = change(receiver, 1, at(1), {});
    expect(done).toEqual({
      outcome: 'Applied',
      changed: true,
      refused: [],
      removals: undefined,
      plan: planOf(adapter('a'), adapter('b'), split('s')),
    });
    expect(keys(receiver)).toEqual(['AdapterSpec team-a/a', 'AdapterSpec team-a/b', 'Split team-a/s']);
  });

  it('changes and removes what is held, and leaves the rest', () => {
    const receiver = connected({ held: heldOf(adapter('a'), adapter('b'), split('s')) });
    const before = receiver.plan;
    const done = change(receiver, 1, at(6), {
      puts: [split('s', { weight: 5 })],
      removes: ['AdapterSpec team-a/a', 'Route team-a/never-held'],
    });
    expect(done).toMatchObject({ plan: planOf(adapter('b'), split('s', { weight: 5 })) });
    expect(before).toEqual(planOf(adapter('a'), adapter('b'), split('s')));
    expect(receiver.plan.get('AdapterSpec team-a/b')).toBe(before.get('AdapterSpec team-a/b'));
  });

  it('can move the revision alone: then the plan is the same object', () => {
    const receiver = connected({ held: heldOf(adapter('a')) });
    const before = receiver.plan;
    expect(change(receiver, 1, at(7), { puts: [adapter('a')] })).toMatchObject({ changed: false });
    expect([receiver.plan, receiver.revision]).toEqual([before, at(7)]);
    expect(receiver.plan).toBe(before);
  });

  it('forgets what a stream that broke had not committed', () => {
    const receiver = connected();
    receiver.put(resourceToWire(versioned(adapter('a'))));
    receiver.broken();
    receiver.hello();
    receiver.welcome('cluster-1');
    change(receiver, 1, at(1), { puts: [adapter('b')] });
    expect(keys(receiver)).toEqual(['AdapterSpec team-a/b']);
  });

  it('may come from a state that has seen the same, and from none that has seen less of anything', () => {
    const held = heldOf(adapter('a'));
    expect(change(connected({ held }), 1, at(5), { puts: [adapter('b')] })).toMatchObject({ changed: true });
    const receiver = connected({ held });
    const stale = change(receiver, 1, at(9, { rollouts: 4n }), { puts: [adapter('b')] });
    expect(stale).toEqual({
      outcome: 'Rejected',
      why: 'Stale',
      reason:
        'the replica has seen adapters 9, rollouts 4, routes 9, runtimes 9, policies 9; this runtime adapters 5, rollouts 5, routes 5, runtimes 5, policies 5',
    });
    expect([keys(receiver), receiver.revision]).toEqual([['AdapterSpec team-a/a'], at(5)]);
    expect(change(receiver, 1, at(9), { puts: [adapter('b')] })).toMatchObject({ why: 'Protocol' });
  });

  it('is nothing before the Welcome, and nothing out of order', () => {
    const receiver = new Receiver({ clock: new FakeClock() });
    receiver.hello();
    expect(change(receiver, 1, at(1), { puts: [adapter('a')] })).toMatchObject({
      why: 'Protocol',
      reason: 'there was no Welcome on this stream',
    });
    for (const nonce of [0, 2, 1.5 * 2]) {
      expect(change(connected(), nonce, at(1), { puts: [adapter('a')] })).toMatchObject({ why: 'Protocol' });
    }
    expect(receiver.plan.size).toBe(0);
  });

  it('without a revision has seen nothing', () => {
    const commit = { nonce: 1n, revision: undefined, confirmedRemovals: '' };
    expect(connected({ held: heldOf() }).commit(commit)).toMatchObject({ why: 'Stale' });
    expect(connected().commit(commit)).toMatchObject({ outcome: 'Applied' });
  });

  it('of more changes than a runtime can take is rejected', () => {
    const receiver = connected({ limits: { maxResources: 4 } });
    expect(change(receiver, 1, at(1), { puts: adapters(20) })).toMatchObject({
      why: 'Protocol',
      reason: 'one commit has more than 8 changes',
    });
  });
});

describe('a resource that is refused', () => {
  const bad = { ...resourceToWire(versioned(split('s', { weight: 5 }))), version: '0123456789abcdef' };

  it('stays as it was while the rest of the commit is in force', () => {
    const receiver = connected({ held: heldOf(split('s')) });
    receiver.put(bad);
    const done = change(receiver, 1, at(6), { puts: [adapter('a')] });
    expect(done).toMatchObject({
      outcome: 'Applied',
      plan: planOf(adapter('a'), split('s')),
      refused: [{ key: 'Split team-a/s', version: '0123456789abcdef' }],
    });
  });

  it('can be refused by the runtime for reasons of its own, also when that fails', () => {
    const check = ({ name }: { name: string }) => {
      if (name === 'team-a/throws') throw new TypeError('boom');
      return name === 'team-a/odd' ? 'not here' : undefined;
    };
    const receiver = connected({ check });
    const done = change(receiver, 1, at(1), { puts: [route('odd'), route('throws'), route('fine')] });
    expect(done).toMatchObject({
      plan: planOf(route('fine')),
      refused: [
        { key: 'Route team-a/odd', version: versioned(route('odd')).version, reason: 'not here' },
        { key: 'Route team-a/throws', reason: 'the check of it failed: boom' },
      ],
    });
  });

  it('is refused when the runtime is full, and what is held can still change', () => {
    const receiver = connected({ held: heldOf(...adapters(2)), limits: { maxResources: 2 } });
    const done = change(receiver, 1, at(6), { puts: [adapter('new'), adapter('a-0', { priority: 1 })] });
    expect(done).toMatchObject({
      plan: planOf(adapter('a-0', { priority: 1 }), adapter('a-1')),
      refused: [{ key: 'AdapterSpec team-a/new', reason: expect.stringMatching(/^this runtime holds 2/) }],
    });
  });
});

describe('the cluster', () => {
  it('that comes first is followed, and no other', () => {
    const receiver = connected();
    change(receiver, 1, at(1), { puts: [adapter('a')] });
    receiver.hello();
    expect(() => {
      receiver.welcome('cluster-2');
    }).toThrow(
      expect.objectContaining({
        code: 'CLUSTER_UNTRUSTED',
        what: 'The operator is of the cluster cluster-2, this runtime follows cluster-1',
      }),
    );
    expect(change(receiver, 1, at(2), { removes: ['AdapterSpec team-a/a'] })).toMatchObject({
      why: 'Protocol',
    });
    expect(receiver.held()).toMatchObject({ clusterUid: 'cluster-1', revision: at(1) });
  });

  it('has to have a name', () => {
    const receiver = new Receiver({ clock: new FakeClock() });
    expect(() => {
      receiver.welcome('');
    }).toThrow(expect.objectContaining({ code: 'CLUSTER_UNTRUSTED' }));
  });

  it('can be forgotten by a person: the plan stays in force, and the next cluster starts at any revision', () => {
    const receiver = connected({ held: heldOf(adapter('a'), split('s')) });
    receiver.trust();
    expect(receiver.hello()).toMatchObject({ clusterUid: '', revision: noRevision });
    expect(keys(receiver)).toEqual(['AdapterSpec team-a/a', 'Split team-a/s']);
    receiver.welcome('cluster-2');
    expect(change(receiver, 1, at(1), { puts: [split('s', { weight: 1 })] })).toMatchObject({
      changed: true,
    });
    expect(receiver.clusterUid).toBe('cluster-2');
  });
});

describe('what is persisted', () => {
  it('is where the next process goes on', () => {
    const receiver = connected();
    change(receiver, 1, at(3), { puts: [adapter('a'), split('s', { stable: arm('a') })] });
    const next = new Receiver({ held: receiver.held(), clock: new FakeClock() });
    expect(next.hello()).toEqual(receiver.hello());
    expect(next.hello()).toEqual({ clusterUid: 'cluster-1', revision: at(3) });
    expect(next.heldList()).toEqual(
      [adapter('a'), split('s', { stable: arm('a') })]
        .map(versioned)
        .map((resource) => ({ key: resourceKey(resource), version: resource.version })),
    );
    expect(next.heldHash()).toEqual(receiver.heldHash());
    expect(next.plan).toEqual(receiver.plan);
  });
});
