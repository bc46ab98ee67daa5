import { Writable } from 'node:stream';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import type { KubeObject } from '../client/object.ts';
import { type Change, ObjectCache } from './cache.ts';

const object = (
  name: string,
  version: number,
  { uid = `uid-${name}`, tags = [] as string[] } = {},
): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Thing',
  metadata: { name, namespace: 'n', uid, resourceVersion: String(version), creationTimestamp: '' },
  spec: { tags },
});

const tagsOf = ({ spec }: KubeObject) => (spec as { tags: string[] }).tags;

const open = (project: (raw: KubeObject) => KubeObject = (raw) => raw) => {
  const lines: string[] = [];
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString());
      done();
    },
  });
  const cache = new ObjectCache<KubeObject>({
    clock: new FakeClock(),
    logger: pino(sink),
    project,
    indexes: { tag: tagsOf },
  });
  const changes: Change<KubeObject>[] = [];
  const versions: bigint[] = [];
  cache.onChange((change) => changes.push(change));
  cache.onProgress((version) => versions.push(version));
  const list = (version: number, ...objects: KubeObject[]): void => {
    cache.beginList();
    cache.stage(objects);
    cache.commitList(BigInt(version));
  };
  return { cache, list, changes, versions, lines };
};

describe('a cache', () => {
  it('holds a list only once it is whole', () => {
    const { cache } = open();
    cache.beginList();
    cache.stage([object('a', 1)]);
    expect([cache.size, cache.hasSynced, cache.resourceVersion]).toEqual([0, false, 0n]);
    cache.stage([object('b', 2)]);
    cache.commitList(5n);
    expect([cache.size, cache.hasSynced, cache.resourceVersion]).toEqual([2, true, 5n]);
  });

  it('forgets what was staged when a list begins again', () => {
    const { cache, list } = open();
    cache.beginList();
    cache.stage([object('a', 1)]);
    list(5, object('b', 2));
    expect(cache.list().map(({ metadata }) => metadata.name)).toEqual(['b']);
  });

  it('ignores events that are not newer, compared as numbers', () => {
    const { cache, list, changes } = open();
    list(99, object('a', 98));
    cache.put(object('a', 100));
    const held = cache.get('n/a');
    cache.put(object('a', 99));
    cache.put(object('a', 100));
    cache.remove(object('a', 100));
    cache.put(object('late', 98));
    cache.progress(50n);
    expect([cache.get('n/a'), cache.size, cache.resourceVersion]).toEqual([held, 1, 100n]);
    expect(cache.get('n/a')).toBe(held);
    expect(changes).toHaveLength(2);
  });

  it('does not take an object back where a page was newer than its list', () => {
    const { cache, list } = open();
    list(10, object('a', 15));
    const held = cache.get('n/a');
    cache.put(object('a', 12));
    expect(cache.get('n/a')).toBe(held);
    cache.put(object('a', 15));
    expect(cache.get('n/a')).toBe(held);
    expect(cache.resourceVersion).toBe(15n);
  });

  it('tells of a list once it has all of it, and of its version last', () => {
    const { cache, list } = open();
    list(5, object('a', 1), object('b', 2));
    const seen: unknown[] = [];
    cache.onChange(({ type, key }) => seen.push([type, key, cache.size, cache.by('tag', 'x').length]));
    cache.onProgress((version) => seen.push(version));
    list(9, object('b', 2), object('c', 8, { tags: ['x'] }), object('d', 9, { tags: ['x'] }));
    expect(seen).toEqual([['deleted', 'n/a', 3, 2], ['added', 'n/c', 3, 2], ['added', 'n/d', 3, 2], 9n]);
  });

  it('tells of a deletion and a creation where another object has the key', () => {
    const { cache, list, changes } = open();
    list(5, object('a', 1, { uid: 'one', tags: ['x'] }));
    list(6, object('a', 6, { uid: 'two', tags: ['x'] }));
    cache.put(object('a', 7, { uid: 'three', tags: ['y'] }));
    expect(changes.map(({ type, object: { metadata } }) => `${type} ${metadata.uid}`)).toEqual([
      'added one',
      'deleted one',
      'added two',
      'deleted two',
      'added three',
    ]);
    expect([cache.by('tag', 'x').length, cache.by('tag', 'y').length]).toEqual([0, 1]);
  });

  it('finds objects by several values of an index, and no longer by those they lost', () => {
    const { cache, list } = open();
    list(5, object('a', 1, { tags: ['x', 'y'] }), object('b', 2, { tags: ['y'] }));
    cache.put(object('a', 6, { tags: ['z'] }));
    cache.remove(object('b', 7));
    expect(['x', 'y', 'z'].map((tag) => cache.by('tag', tag).length)).toEqual([0, 0, 1]);
    expect(() => cache.by('none', 'x')).toThrow('no index none');
  });

  it('says how far it has seen when no change tells so', () => {
    const { cache, list, versions } = open();
    list(5);
    cache.progress(8n);
    cache.progress(8n);
    cache.remove(object('never-seen', 9));
    cache.put(object('a', 10));
    expect(versions).toEqual([5n, 8n, 9n]);
  });

  it('knows the version of its last change, which lists and bookmarks without changes do not move', () => {
    const { cache, list } = open();
    const versions: bigint[] = [];
    const look = () => versions.push(cache.changeVersion);
    look();
    list(4);
    look();
    list(5, object('a', 1));
    look();
    cache.progress(6n);
    list(7, object('a', 1));
    cache.remove(object('unknown', 8));
    look();
    cache.put(object('a', 9));
    look();
    list(12);
    look();
    expect(versions).toEqual([0n, 4n, 5n, 5n, 9n, 12n]);
  });

  it('keeps the earlier form of an object that cannot be projected, and the others', () => {
    const { cache, list, changes, versions, lines } = open((raw) => {
      if (tagsOf(raw).includes('bad')) throw new Error('cannot');
      return raw;
    });
    const good = object('a', 1);
    list(5, good, object('b', 2, { tags: ['bad'] }), object('c', 3));
    cache.put(object('a', 6, { tags: ['bad'] }));
    expect([cache.get('n/a'), cache.get('n/b'), cache.size]).toEqual([good, undefined, 2]);
    expect([changes.length, versions]).toEqual([2, [5n, 6n]]);
    list(7, object('a', 6));
    expect(cache.get('n/a')?.metadata.resourceVersion).toBe('6');
    expect(
      lines.filter((line) => line.includes('"key":"n/b"') && line.includes('could not be projected')),
    ).toHaveLength(1);
  });

  it('goes on with the other listeners when one throws, and logs it', () => {
    const { cache, list, changes, lines } = open();
    cache.onChange(() => {
      throw new Error('a bad listener');
    });
    const after: string[] = [];
    const stop = cache.onChange(({ key }) => after.push(key));
    list(5, object('a', 1));
    stop();
    cache.put(object('b', 6));
    expect([changes.length, after]).toEqual([2, ['n/a']]);
    expect(lines.join('')).toContain('a bad listener');
  });
});
