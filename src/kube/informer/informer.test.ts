import * as fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { KubeObject } from '../client/object.ts';
import { FakeCollection, settle, things } from '../testing/fake-collection.ts';
import type { Change } from './cache.ts';
import { createInformer } from './informer.ts';

const logger = pino({ level: 'silent' });

const start = (server = new FakeCollection()) => {
  const clock = new FakeClock();
  const changes: Change<KubeObject>[] = [];
  const versions: bigint[] = [];
  let projected = 0;
  const informer = createInformer<KubeObject>({
    api: server,
    type: things,
    namespace: 'n',
    clock,
    random: () => 0,
    logger,
    timing: { pageSize: 2 },
    project: (raw) => {
      projected += 1;
      return raw;
    },
    indexes: { size: ({ spec }) => [String((spec as { size?: number }).size ?? 0)] },
  });
  const { cache } = informer;
  cache.onChange((change) => {
    changes.push(change);
    versions.push(cache.resourceVersion);
  });
  cache.onProgress((version) => versions.push(version));
  onTestFinished(() => informer.close());
  return { server, clock, informer, cache, changes, versions, projected: () => projected };
};

const started = async (server?: FakeCollection) => {
  const parts = start(server);
  parts.informer.start();
  await settle();
  return parts;
};

const told = (changes: readonly Change<KubeObject>[]) => changes.map(({ type, key }) => `${type} ${key}`);

describe('an informer', () => {
  it('lists in pages, then follows', async () => {
    const server = new FakeCollection();
    for (const name of ['a', 'b', 'c']) server.put(name);
    const { cache, changes, informer } = start(server);
    expect(cache.hasSynced).toBe(false);
    informer.start();
    await informer.whenSynced(AbortSignal.timeout(5000));
    expect(told(changes)).toEqual(['added n/a', 'added n/b', 'added n/c']);
    expect(cache.resourceVersion).toBe(103n);
    await settle();
    server.put('a');
    server.delete('b');
    server.put('d');
    await settle();
    expect(told(changes.slice(3))).toEqual(['updated n/a', 'deleted n/b', 'added n/d']);
    expect(cache.get('n/a')).toEqual(server.objects.get('n/a'));
    expect(cache.resourceVersion).toBe(106n);
    expect(server.requests.map(({ query }) => query)).toStrictEqual([
      { limit: '2' },
      { limit: '2', continue: '103/1' },
      { watch: 'true', allowWatchBookmarks: 'true', resourceVersion: '103', timeoutSeconds: '240' },
    ]);
  });

  it('resumes without a list after a watch ended and after it broke, and after a bookmark from there', async () => {
    const { server, clock, cache } = await started();
    server.put('a');
    await settle();
    server.drop();
    await settle();
    server.bookmark();
    await settle();
    server.drop();
    await settle();
    expect(server.requests.slice(1).map(({ query }) => query['resourceVersion'])).toEqual([
      '100',
      '101',
      '106',
    ]);
    server.refuse('KUBE_UNAVAILABLE');
    server.drop();
    await settle();
    server.put('b');
    server.heal();
    clock.advance(1000);
    await settle();
    expect(cache.size).toBe(2);
    expect(server.requests.filter(({ query }) => Number(query['limit']) > 1)).toHaveLength(1);
  });

  it('keeps objects and their identity over a list, and tells what was missed', async () => {
    const { server, clock, cache, changes, projected } = await started();
    for (const name of ['a', 'b', 'c']) server.put(name);
    await settle();
    const [a, b] = [cache.get('n/a'), cache.get('n/b')];
    server.refuse('KUBE_UNAVAILABLE');
    server.drop();
    server.delete('b');
    server.put('b');
    server.delete('c');
    server.compact();
    await settle();
    server.heal();
    clock.advance(1000);
    await settle();
    clock.advance(1000);
    await settle();
    expect(told(changes.slice(3)).toSorted()).toEqual(['added n/b', 'deleted n/b', 'deleted n/c']);
    expect(cache.get('n/a')).toBe(a);
    expect(cache.get('n/b')).not.toBe(b);
    expect(projected()).toBe(4);
  });

  it.each(['KUBE_FORBIDDEN', 'KUBE_NOT_FOUND', 'KUBE_UNAUTHORIZED'] as const)(
    'keeps everything while the server says %s, tells so, and goes on when it no longer does',
    async (code) => {
      const { server, clock, cache, changes } = await started();
      server.put('a');
      await settle();
      server.compact();
      server.version += 1;
      server.refuse(code);
      server.drop();
      expect(cache.health()).toEqual({ ok: true });
      for (let i = 0; i < 10; i++) {
        clock.advance(10_000);
        await settle();
      }
      expect(cache.health()).toEqual({ ok: false, reason: `the model says ${code}` });
      expect([cache.size, cache.hasSynced, changes.length]).toEqual([1, true, 1]);
      server.heal();
      server.put('b');
      clock.advance(60_000);
      await settle();
      clock.advance(60_000);
      await settle();
      expect(cache.health()).toEqual({ ok: true });
      expect(cache.size).toBe(2);
    },
  );

  it('is not healthy before its first list, and says why', async () => {
    const server = new FakeCollection();
    server.refuse('KUBE_FORBIDDEN');
    const { cache, informer } = start(server);
    expect(cache.health()).toEqual({ ok: false, reason: 'no list was read yet' });
    informer.start();
    await settle();
    expect(cache.health()).toEqual({
      ok: false,
      reason: 'no list was read yet: the model says KUBE_FORBIDDEN',
    });
  });

  it('is not healthy when the server accepts watches and says nothing', async () => {
    const { server, clock, cache } = await started();
    for (let i = 0; i < 31; i++) {
      server.drop();
      clock.advance(10_000);
      await settle();
    }
    expect(cache.health()).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/has said nothing for 3\d{5} ms/),
    });
  });

  it('waits longer after each failure, and as long as the server wishes', async () => {
    const server = new FakeCollection();
    server.refuse('KUBE_UNAVAILABLE');
    const { clock } = await started(server);
    const at: number[] = [];
    for (let ms = 0; ms < 4000; ms += 50) {
      const before = server.requests.length;
      clock.advance(50);
      await settle();
      if (server.requests.length > before) at.push(ms + 50);
    }
    expect(at).toEqual([250, 750, 1750, 3750]);
    server.refuse('KUBE_UNAVAILABLE', 20_000);
    clock.advance(4000);
    await settle();
    const before = server.requests.length;
    clock.advance(19_999);
    await settle();
    expect(server.requests).toHaveLength(before);
    clock.advance(1);
    await settle();
    expect(server.requests).toHaveLength(before + 1);
  });

  it('gets past an event that cannot be read by a list', async () => {
    const { server, clock, cache } = await started();
    server.put('a');
    await settle();
    for (let i = 0; i < 4; i++) {
      server.send({ type: 'ADDED', object: {} });
      await settle();
      clock.advance(30_000);
      await settle();
    }
    const lists = server.requests.filter(({ query }) => Number(query['limit']) > 1);
    expect(lists).toHaveLength(2);
    expect(cache.size).toBe(1);
  });

  it.each([
    [
      'while it watched',
      (server: FakeCollection) => server.send({ type: 'ERROR', object: { code: 410, message: 'too old' } }),
    ],
    [
      'while it was away',
      (server: FakeCollection) => server.drop(new AdaptletError('KUBE_UNAVAILABLE', 'away')),
    ],
  ])('does not go back with a server that went back %s, and says so', async (_, end) => {
    const { server, clock, cache } = await started();
    server.put('a');
    server.put('b');
    await settle();
    server.objects.delete('n/b');
    server.goBackTo(101);
    end(server);
    await settle();
    for (let i = 0; i < 10; i++) {
      clock.advance(10_000);
      await settle();
    }
    expect(cache.size).toBe(2);
    expect(cache.resourceVersion).toBe(102n);
    expect(cache.health()).toMatchObject({
      ok: false,
      reason: expect.stringContaining('went back from version 102 to 101'),
    });
  });

  it('asks for nothing after it was closed, and keeps what it has', async () => {
    const { server, clock, cache, informer } = await started();
    server.put('a');
    await settle();
    await informer.close();
    expect(server.watchers).toBe(0);
    const before = server.requests.length;
    server.put('b');
    clock.advance(31_000);
    expect(cache.health()).toEqual({ ok: true });
    clock.advance(600_000);
    await settle();
    expect([server.requests.length, cache.size]).toEqual([before, 1]);
  });
});

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
}, 60_000);
