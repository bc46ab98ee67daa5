import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeCollection, settle } from '../testing/fake-collection.ts';
import { createFollower, started, told } from './informer.fixture.ts';

describe('an informer', () => {
  it('lists in pages, then follows', async () => {
    const server = new FakeCollection();
    for (const name of ['a', 'b', 'c']) server.put(name);
    const { cache, changes, informer } = createFollower(server);
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
      expect(cache.lost()).toBeUndefined();
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
    const { cache, informer } = createFollower(server);
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
    clock.advance(10_000);
    await settle();
    expect(cache.lost()).toBeUndefined();
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
    expect(cache.lost()).toContain('went back from version 102 to 101');
  });

  it('has nothing left of what a server lost that went back and came past the versions that it had', async () => {
    const { server, clock, cache, changes } = await started();
    server.put('a');
    server.put('lost');
    await settle();
    server.objects.delete('n/lost');
    server.goBackTo(101);
    server.drop(new AdaptletError('KUBE_UNAVAILABLE', 'away'));
    await settle();
    clock.advance(1000);
    await settle();
    expect(cache.health()).toEqual({ ok: true });
    for (const name of ['b', 'c']) server.put(name);
    for (let i = 0; i < 4; i++) {
      clock.advance(30_000);
      await settle();
    }
    expect(cache.list().map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c']);
    expect(told(changes)).toContain('deleted n/lost');
    expect([cache.health(), cache.lost()]).toEqual([{ ok: true }, undefined]);
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
