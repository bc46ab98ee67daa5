import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeldList } from '../gen/adaptlet/control/v1/control.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { heldHashOf } from './held-versions.ts';
import { arePartHashes, partHashesOf, partOf, partsFor, partsNamed, samePartsOf } from './parts.ts';
import { adapter, at, planOf, targetOf } from './plans.fixture.ts';
import { Receiver } from './receiver.ts';
import { noRevision, revisionToWire } from './revision.ts';
import { type Batch, Sender } from './sender.ts';
import { resourceToWire } from './wire.ts';

describe('parts of a list', () => {
  it('are none for a short one, about 32 entries each for a long one, and 256 at most', () => {
    expect([255, 256, 257, 1_000, 10_000, 50_000].map(partsFor)).toEqual([0, 8, 16, 32, 256, 256]);
  });

  it('have the same hash where they have the same entries, in any order', () => {
    const entries = fc.uniqueArray(fc.tuple(fc.string({ minLength: 1 }), fc.constantFrom('v1\n', 'v2\n')), {
      selector: ([key]) => key,
      maxLength: 60,
    });
    fc.assert(
      fc.property(entries, entries, (a, b) => {
        const texts = (list: typeof a) => list.map(([key, version]) => [key, `${key} ${version}`] as const);
        const [ours, theirs] = [partHashesOf(texts(a), 8), partHashesOf(texts(b).toReversed(), 8)];
        const partAt = (list: typeof a, part: number) =>
          list
            .flatMap(([key, version]) => (partOf(key, 8) === part ? [`${key} ${version}`] : []))
            .sort((x, y) => (x < y ? -1 : 1))
            .join(';');
        const same = Array.from({ length: 8 }, (_, part) => part).filter(
          (part) => partAt(a, part) === partAt(b, part),
        );
        expect(samePartsOf(ours, theirs)).toEqual(same);
      }),
    );
  });

  it('are refused where there are none, too many, or hashes of another length', () => {
    const hash = Buffer.alloc(32);
    expect([[], [Buffer.alloc(31)], Array(4_097).fill(hash), [hash]].map(arePartHashes)).toEqual([
      false,
      false,
      false,
      true,
    ]);
    expect([partsNamed([0, 3], 4)?.size, partsNamed([4], 4), partsNamed([1, 1], 4)]).toEqual([
      2,
      undefined,
      undefined,
    ]);
  });
});

/** Versions of so many adapters; 0: there is none. */
const planFor = (versions: readonly number[]) =>
  planOf(...versions.flatMap((v, i) => (v === 0 ? [] : [adapter(`a-${i}`, { priority: v })])));

const heldBy = (plan: ReturnType<typeof planOf>): Receiver => {
  const receiver = new Receiver({ clock: new FakeClock() });
  receiver.welcome('cluster');
  for (const resource of plan.values()) receiver.put(resourceToWire(resource));
  receiver.commit({ nonce: 1n, revision: revisionToWire(at(1)), confirmedRemovals: '' });
  return receiver;
};

describe('the list of what a runtime holds', () => {
  const some = fc.array(fc.tuple(fc.nat(399), fc.nat(2)), { maxLength: 12 });
  const changed = (versions: readonly number[], changes: readonly (readonly [number, number])[]) => {
    const next = [...versions];
    for (const [index, version] of changes) next[index] = version;
    return next;
  };
  const first = Array.from({ length: 400 }, (_, i) => (i % 9 === 0 ? 0 : 1));

  it('without the parts that are as asked about leads to what the whole list does, whatever changes meanwhile', () => {
    fc.assert(
      fc.property(some, some, some, (held, before, after) => {
        const receiver = heldBy(planFor(changed(first, held)));
        const asked = planFor(changed(first, before));
        const now = planFor(changed(changed(first, before), after));
        const batchOf = (isWhole: boolean): Batch | undefined => {
          const sender = new Sender({
            held: { hash: Buffer.alloc(32) },
            revision: noRevision,
            subscriptions: [],
          });
          expect(sender.next(targetOf(asked, at(2)))).toBeUndefined();
          const hashes = sender.asks() ?? expect.fail();
          const list = receiver.heldListWithout(isWhole ? [] : hashes);
          expect(list.sameParts.length > 0).toBe(!isWhole);
          const versions = new Map(list.held.map(({ key, version }) => [key, version]));
          expect(sender.listed(versions, list.sameParts)).toBe(true);
          const batch = sender.next(targetOf(now, at(3)));
          expect(sender.held?.hash().equals(heldHashOf(receiver.plan))).toBe(true);
          return batch;
        };
        expect(batchOf(false)).toEqual(batchOf(true));
      }),
      { numRuns: 60 },
    );
  });

  it('of 10,000 costs 20 kB where one adapter is another one, both ways together, and not 469 kB', () => {
    const versions = Array.from({ length: 10_000 }, () => 1);
    const receiver = heldBy(planFor(versions));
    const sender = new Sender({ held: { hash: Buffer.alloc(32) }, revision: noRevision, subscriptions: [] });
    sender.next(targetOf(planFor(changed(versions, [[77, 2]])), at(2)));
    const hashes = sender.asks() ?? expect.fail();
    const bytes = (list: HeldList) => HeldList.encode(list).finish().length;
    expect(hashes).toHaveLength(256);
    expect(34 * hashes.length + bytes(receiver.heldListWithout(hashes))).toBeLessThan(20_000);
    expect(bytes(receiver.heldListWithout([]))).toBeGreaterThan(400_000);
  });

  it.each([
    ['a part that was not asked about', [99], []],
    ['a part twice', [1, 1], []],
    [
      'a resource of a part that is the same',
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
      ['AdapterSpec team-a/a-1'],
    ],
  ])('is refused with %s', (_, sameParts, keys) => {
    const sender = new Sender({ held: { hash: Buffer.alloc(32) }, revision: noRevision, subscriptions: [] });
    sender.next(targetOf(planFor(first), at(2)));
    expect(sender.asks()).toHaveLength(16);
    expect(sender.listed(new Map(keys.map((key) => [key, 'v'])), sameParts)).toBe(false);
    expect(sender.isKnown).toBe(false);
  });
});
