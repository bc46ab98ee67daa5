import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { FakeClock } from '../../time/fake-clock.ts';
import type { KubeObject } from '../client/object.ts';
import { type FakeCollection, settle } from '../testing/fake-collection.ts';
import type { Change } from './cache.ts';
import { started } from './informer.fixture.ts';

const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('put' as const), name, size: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('delete' as const), name }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('repeat' as const), back: fc.nat(6) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('advance' as const), ms: fc.nat(3000) }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('settle' as const) }) },
  fc.record({
    op: fc.constantFrom('bookmark' as const, 'compact' as const, 'end' as const, 'break' as const),
  }),
  fc.record({ op: fc.constantFrom('pause' as const, 'heal' as const) }),
  fc.record({ op: fc.constant('garbage' as const), event: fc.jsonValue() }),
  fc.record({ op: fc.constant('error' as const), code: fc.constantFrom(410, 500, 403) }),
  fc.record({
    op: fc.constant('refuse' as const),
    code: fc.constantFrom(
      'KUBE_FORBIDDEN' as const,
      'KUBE_NOT_FOUND' as const,
      'KUBE_UNAVAILABLE' as const,
      'KUBE_GONE' as const,
    ),
  }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

const apply = async (server: FakeCollection, clock: FakeClock, taken: Step): Promise<void> => {
  switch (taken.op) {
    case 'put':
      server.put(taken.name, { size: taken.size });
      break;
    case 'delete':
      server.delete(taken.name);
      break;
    case 'repeat':
      server.repeat(taken.back);
      break;
    case 'advance':
      clock.advance(taken.ms);
      break;
    case 'settle':
      await settle();
      break;
    case 'bookmark':
      server.bookmark();
      break;
    case 'compact':
      server.compact();
      break;
    case 'end':
      server.drop();
      break;
    case 'break':
      server.drop(new AdaptletError('KUBE_UNAVAILABLE', 'the connection broke'));
      break;
    case 'pause':
      server.pause();
      break;
    case 'heal':
      server.heal();
      break;
    case 'garbage':
      server.send(taken.event);
      break;
    case 'error':
      server.send({ type: 'ERROR', object: { code: taken.code, message: 'x' } });
      break;
    case 'refuse':
      server.refuse(taken.code);
      break;
  }
};

/** What the changes alone say that there is. Throws where they contradict each other. */
const replay = (changes: readonly Change<KubeObject>[]) => {
  const objects = new Map<string, KubeObject>();
  const ended = new Set<string>();
  for (const change of changes) {
    const before = objects.get(change.key);
    const { uid } = change.object.metadata;
    if (ended.has(uid)) throw new Error(`${uid} comes back or is deleted twice`);
    if (change.type === 'added' && before !== undefined) throw new Error(`${uid} is added twice`);
    if (change.type === 'updated' && (before !== change.before || before.metadata.uid !== uid))
      throw new Error(`${uid} is updated from what it was not`);
    if (
      change.type === 'updated' &&
      BigInt(change.object.metadata.resourceVersion) <= BigInt(change.before.metadata.resourceVersion)
    )
      throw new Error(`${uid} goes back`);
    if (change.type === 'deleted') {
      if (before !== change.object) throw new Error(`${uid} is deleted and was not there`);
      ended.add(uid);
      objects.delete(change.key);
    } else objects.set(change.key, change.object);
  }
  return objects;
};

it('whatever happens, the cache comes to what the server has, never goes back, and tells each change once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { server, clock, informer, cache, changes, versions } = await started();
      for (const taken of steps) await apply(server, clock, taken);
      server.heal();
      await settle();
      const wanted = () =>
        [...server.objects]
          .map(([key, { metadata }]) => `${key} ${metadata.uid} ${metadata.resourceVersion}`)
          .toSorted();
      const held = () =>
        cache
          .list()
          .map(({ metadata }) => `n/${metadata.name} ${metadata.uid} ${metadata.resourceVersion}`)
          .toSorted();
      for (let round = 0; round < 8 && JSON.stringify(held()) !== JSON.stringify(wanted()); round++) {
        clock.advance(30_000);
        await settle();
      }
      expect(held()).toEqual(wanted());
      expect(versions).toEqual(versions.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
      const replayed = replay(changes);
      expect([...replayed.keys()].toSorted()).toEqual([...server.objects.keys()].toSorted());
      // The very objects that were told, found by every way.
      for (const [key, object] of replayed) expect(cache.get(key)).toBe(object);
      for (const size of ['0', '1', '2']) {
        const found = [...replayed.values()].filter(
          ({ spec }) => String((spec as { size?: number }).size ?? 0) === size,
        );
        expect(new Set(cache.by('size', size))).toEqual(new Set(found));
      }
      await informer.close();
    }),
    { numRuns: 400 },
  );
});
