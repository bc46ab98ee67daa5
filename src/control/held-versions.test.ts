import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resourceKey, versioned } from '../plan/resources.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { HeldVersions, heldHashOf, heldHashOfPlan, noLayers } from './held-versions.ts';
import { adapter, adapters, at, planOf, targetOf } from './plans.fixture.ts';
import { Receiver } from './receiver.ts';
import { noRevision, revisionToWire } from './revision.ts';
import { Sender } from './sender.ts';
import { resourceToWire } from './wire.ts';

const versionsOf = (plan: ReturnType<typeof planOf>) =>
  new Map([...plan].map(([key, { version }]) => [key, version]));
const keys = fc.constantFrom('AdapterSpec a/a', 'AdapterSpec a/b', 'Split a/s', 'Route a/r');
const held = fc.dictionary(keys, fc.constantFrom('v1', 'v2', 'v3'));

describe('the hash of what is held', () => {
  it('is the same in any order, and another one as soon as anything differs', () => {
    fc.assert(
      fc.property(held, held, (a, b) => {
        const hash = (of: Record<string, string>) =>
          heldHashOf(Object.entries(of).map(([key, version]) => [key, { version }]));
        expect(hash(a).equals(hash(b))).toBe(isDeepStrictEqual({ ...a }, { ...b }));
      }),
    );
  });

  it('is that of a list with something of its own, whatever was changed in it', () => {
    fc.assert(
      fc.property(
        held,
        fc.array(fc.tuple(keys, fc.option(fc.constantFrom('v1', 'v2'), { nil: undefined }))),
        (first, changes) => {
          const versions = new HeldVersions(noLayers, new Map(Object.entries(first)));
          const expected = new Map(Object.entries(first));
          for (const [key, version] of changes) {
            versions.set(key, version);
            if (version === undefined) expected.delete(key);
            else expected.set(key, version);
          }
          const wanted = heldHashOf([...expected].map(([key, version]) => [key, { version }]));
          expect(versions.hash().equals(wanted)).toBe(true);
          expect(versions.copy().hash().equals(wanted)).toBe(true);
        },
      ),
    );
  });

  it('is the same however much of it is what a plan has', () => {
    fc.assert(
      fc.property(held, held, (first, planned) => {
        const versions = new HeldVersions(noLayers, new Map(Object.entries(first)));
        const hash = versions.hash();
        const all = [...planOf(adapter('a'), adapter('b'))];
        const base = new Map(
          Object.entries(planned).flatMap(([key, version], index) => {
            const [, resource] = all[index % 2] ?? [];
            return resource === undefined ? [] : [[key, { ...resource, version }] as const];
          }),
        );
        const unlike = [...new Set([...Object.keys(first), ...base.keys()])].filter(
          (key) => first[key] !== base.get(key)?.version,
        );
        versions.rebase({ base, extra: new Map() }, unlike);
        expect([...versions.unlike]).toEqual(unlike);
        expect(versions.hash().equals(hash)).toBe(true);
      }),
    );
  });

  it('is computed once for a plan', () => {
    const plan = planOf(adapter('a'));
    expect(heldHashOfPlan(plan)).toBe(heldHashOfPlan(plan));
  });
});

describe('a sender that is told a hash', () => {
  const said = (hash: Buffer, more: Partial<ConstructorParameters<typeof Sender>[0]> = {}) =>
    new Sender({ held: { hash }, revision: noRevision, subscriptions: [], ...more });

  it('sends nothing where it is that of the plan, and then what changes', () => {
    const sender = said(heldHashOfPlan(planOf(adapter('a'), adapter('b'))));
    expect(sender.next(targetOf(planOf(adapter('b'), adapter('a')), at(1)))).toBeUndefined();
    expect([sender.isKnown, sender.asks()]).toEqual([true, undefined]);
    const next = sender.next(targetOf(planOf(adapter('a'), adapter('c')), at(2)));
    expect(next).toMatchObject({ removes: ['AdapterSpec team-a/b'] });
    expect(next?.puts.map(resourceKey)).toEqual(['AdapterSpec team-a/c']);
  });

  it('sees the adapters that the runtime asked for as well', () => {
    const unasked = { tier: 'None', held: false } as const;
    const plan = planOf(adapter('a'), adapter('b', unasked));
    const sender = said(heldHashOfPlan(plan), { subscriptions: ['team-a/b'] });
    expect(sender.next(targetOf(plan, at(1)))).toBeUndefined();
    expect(sender.isKnown).toBe(true);
    expect(said(heldHashOfPlan(plan)).next(targetOf(plan, at(1)))).toBeUndefined();
  });

  it('asks for the list once where it is of nothing that it knows, and sends nothing before', () => {
    const [plan, other] = [planOf(adapter('a'), adapter('b')), planOf(adapter('a'), adapter('old'))];
    const sender = said(heldHashOfPlan(other));
    expect(sender.asks()).toBeUndefined();
    expect(sender.listed(versionsOf(other))).toBe(false);
    expect(sender.next(targetOf(plan, at(1)))).toBeUndefined();
    expect([sender.asks(), sender.asks()]).toEqual([[], undefined]);
    // Not even when the plan becomes the one with the hash: the list is under way.
    expect(sender.next(targetOf(other, at(2)))).toBeUndefined();
    expect(sender.isKnown).toBe(false);
    expect(sender.listed(versionsOf(other))).toBe(true);
    expect(sender.listed(versionsOf(other))).toBe(false);
    const batch = sender.next(targetOf(plan, at(3)));
    expect(batch?.puts.map(resourceKey)).toEqual(['AdapterSpec team-a/b']);
    expect(batch?.removes).toEqual(['AdapterSpec team-a/old']);
  });

  it('knows what the stream before left, with what was refused in it, and sends the difference to the plan of now', () => {
    const plan = planOf(...adapters(3));
    const first = new Sender({ held: new Map(), revision: noRevision, subscriptions: [] });
    first.next(targetOf(plan, at(1)));
    const refusal = { key: 'AdapterSpec team-a/a-1', version: '', reason: 'no' };
    first.acknowledged(1n, [refusal]);
    const left = heldHashOfPlan(planOf(adapter('a-0'), adapter('a-2')));
    const sender = said(left, { former: first.held });
    const batch = sender.next(targetOf(planOf(...adapters(4)), at(2)));
    expect(batch?.puts.map(resourceKey)).toEqual(['AdapterSpec team-a/a-1', 'AdapterSpec team-a/a-3']);
    expect(sender.asks()).toBeUndefined();
    // What this stream sends is no news of the former one.
    sender.acknowledged(1n, []);
    expect(first.held?.get('AdapterSpec team-a/a-3')).toBeUndefined();
  });

  it('asks where the runtime took the last commit and its answer was lost', () => {
    const former = new Sender({ held: new Map(), revision: noRevision, subscriptions: [] });
    former.next(targetOf(planOf(adapter('a')), at(1)));
    const sender = said(heldHashOfPlan(planOf(adapter('a'))), { former: former.held });
    expect(sender.next(targetOf(planOf(adapter('b')), at(2)))).toBeUndefined();
    expect(sender.asks()).toEqual([]);
  });
});

describe('a runtime', () => {
  it('has the hash of the plan that it was sent', () => {
    const receiver = new Receiver({ clock: new FakeClock() });
    receiver.hello();
    receiver.welcome('cluster-1');
    const all = [adapter('b'), adapter('a')];
    for (const resource of all) receiver.put(resourceToWire(versioned(resource)));
    receiver.commit({ nonce: 1n, revision: revisionToWire(at(1)), confirmedRemovals: '' });
    expect(receiver.heldHash().equals(heldHashOfPlan(planOf(...all)))).toBe(true);
  });
});
