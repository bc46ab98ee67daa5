import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { filesArtifact } from './artifact.fixture.ts';
import { trainedFrom, weightsOf } from './delta/weights.fixture.ts';
import { deltaBetween, type FixtureVersion, offerDelta, versionWith } from './delta.fixture.ts';
import { deltaType } from './delta-manifest.ts';
import { leastDeltaBytes } from './deltas.ts';
import { digestOf } from './digest.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import { referrersTag } from './referrers.ts';
import { SharedNode, wishOf } from './shared-node.fixture.ts';

const repository = 'team-a/sql';
const v1 = versionWith(weightsOf(1));
const v2 = versionWith(trainedFrom(Buffer.from(v1.weights), 2));
const never = new AbortController().signal;

const disk = diskOfTests();
let node: SharedNode;
beforeEach(async () => {
  node = await SharedNode.start(disk, 2_000_000);
  node.registry.put(repository, v2);
  node.registry.put(repository, v1);
});
afterEach(() => node[Symbol.asyncDispose]());

/** The node has `v1`, and nothing was read since. */
const hasFirst = async (namespace = 'a'): Promise<void> => {
  await node.fetch(namespace, repository, v1.digest);
  node.registry.reads.length = 0;
};
const isWhole = (version: FixtureVersion): boolean =>
  node.registry.reads.some(({ path }) => path.endsWith(digestOf(version.weights)));
const results = (): readonly string[] => node.outcomes.map(({ result }) => result);

/** Fetches the second version and looks at what is on the disk. */
const fetchSecond = async (namespace = 'a'): Promise<void> => {
  await node.fetch(namespace, repository, v2.digest);
  const folder = node.store.folder(v2.digest);
  expect((await readFile(join(folder, 'adapter_model.safetensors'))).equals(v2.weights)).toBe(true);
  expect(await readdir(join(node.root, 'store/tmp'))).toEqual([]);
  const bytes = [...v1.blobs, ...v2.blobs].map(([digest, { length }]) => [digest, length] as const);
  const stored = node.store.list().length === 2 ? bytes : bytes.slice(v1.blobs.size);
  expect(node.store.usage.usedBytes).toBe([...new Map(stored).values()].reduce((sum, size) => sum + size, 0));
};

describe('a version of which a node has the one before', () => {
  it('comes as a delta, byte-identical', async () => {
    const delta = await offerDelta(node.registry, repository, [v1, v2]);
    await hasFirst();
    await fetchSecond();
    expect(isWhole(v2)).toBe(false);
    const [bytes] = [...delta.blobs.values()];
    const savedBytes = v2.weights.length - (bytes?.length ?? 0);
    expect(node.outcomes).toEqual([{ digest: v2.digest, from: v1.digest, result: 'applied', savedBytes }]);
    expect(await node.store.scrub(never)).toEqual([]);
  });

  it('comes as one that only its manifest says the base of, and by the fallback tag', async () => {
    const delta = await offerDelta(node.registry, repository, [v1, v2], { annotated: false });
    await hasFirst();
    const fetchOf = node.registry.fetch;
    const listed = `manifests/${referrersTag(v2.digest)}`;
    const asked: string[] = [];
    Object.assign(node.registry, {
      fetch: async (input: string | URL, init: RequestInit) => {
        const { pathname, origin } = new URL(new Request(input).url);
        asked.push(pathname);
        if (pathname.includes('/referrers/')) return new Response(null, { status: 404 });
        const tagged = pathname.endsWith(listed);
        const path = tagged ? `/v2/${repository}/referrers/${v2.digest}` : pathname;
        return await fetchOf(`${origin}${path}`, init);
      },
    });
    await node.restart();
    await fetchSecond();
    expect(results()).toEqual(['applied']);
    expect(asked.some((path) => path.endsWith(listed))).toBe(true);
    expect(delta.blobs.size).toBe(1);
  });

  it('comes whole where there is none, and where deltas are switched off nothing is asked', async () => {
    await hasFirst();
    await fetchSecond();
    expect(results()).toEqual(['none']);
    await node.artifacts.remove(v2.digest);
    await offerDelta(node.registry, repository, [v1, v2]);
    node.lookupMs = undefined;
    await node.restart();
    node.registry.reads.length = 0;
    await fetchSecond();
    expect(node.registry.count('referrers')).toBe(0);
    expect(isWhole(v2)).toBe(true);
  });

  it('comes by the smallest of those that fit', async () => {
    const middle = versionWith(trainedFrom(Buffer.from(v2.weights), 5), '{"r":2}');
    const far = versionWith(weightsOf(70), '{"r":3}');
    for (const version of [far, middle]) {
      node.registry.put(repository, version);
      await offerDelta(node.registry, repository, [version, v2]);
      await node.fetch('a', repository, version.digest);
    }
    node.outcomes.length = 0;
    await node.fetch('a', repository, v2.digest);
    expect(node.outcomes).toMatchObject([{ from: middle.digest, result: 'applied' }]);
  });

  it('that is small is fetched without a look', async () => {
    const small = (seed: number) => versionWith(weightsOf(seed, leastDeltaBytes / 2));
    for (const version of [small(1), small(3)]) {
      node.registry.put(repository, version);
      await node.fetch('a', repository, version.digest);
    }
    expect(node.registry.count('referrers')).toBe(0);
  });
});

describe('no look for a delta is made', () => {
  it('by a node that has nothing of the repository', async () => {
    await offerDelta(node.registry, repository, [v1, v2]);
    const other = versionWith(weightsOf(30));
    node.registry.put('team-a/other', other);
    await node.fetch('a', 'team-a/other', other.digest);
    await node.fetch('a', repository, v2.digest);
    expect(node.registry.count('referrers')).toBe(0);
  });

  it('for a file of which a transfer broke off: that goes on', async () => {
    await hasFirst();
    await offerDelta(node.registry, repository, [v1, v2]);
    // The delta does not come, and of the whole file a part.
    node.registry.cutAfter = 500;
    expect(await codeOf(() => node.fetch('a', repository, v2.digest))).toBe('REGISTRY_UNAVAILABLE');
    node.registry.cutAfter = Number.POSITIVE_INFINITY;
    expect([node.registry.count('referrers'), results()]).toEqual([1, ['download']]);
    await node.fetch('a', repository, v2.digest);
    expect(node.registry.count('referrers')).toBe(1);
  });
});

describe('what a namespace may not use is no base', () => {
  it('though another namespace has it of the same repository', async () => {
    await offerDelta(node.registry, repository, [v1, v2]);
    await hasFirst('b');
    await fetchSecond('a');
    expect(node.registry.count('referrers')).toBe(0);
    expect(isWhole(v2)).toBe(true);
  });

  it('once it gave that up', async () => {
    await offerDelta(node.registry, repository, [v1, v2]);
    await hasFirst('b');
    await node.fetch('a', repository, v1.digest);
    await node.artifacts.release(wishOf('a', repository), v1.digest);
    await fetchSecond('a');
    expect(results()).toEqual([]);
    expect(isWhole(v2)).toBe(true);
  });

  it('though it has it by another repository', async () => {
    node.registry.put('team-a/other', v1);
    await node.fetch('a', 'team-a/other', v1.digest);
    await offerDelta(node.registry, repository, [v1, v2]);
    await fetchSecond();
    expect(results()).toEqual([]);
  });

  it('though a delta of its own repository names it, or a file of it, that lies on the disk', async () => {
    // Somebody came by the delta between two versions of a secret adapter, and has neither of them.
    await hasFirst('a');
    const own = versionWith(weightsOf(50));
    const thief = 'team-b/own';
    node.registry.put(thief, v2, [digestOf(v2.weights)]);
    node.registry.put(thief, own);
    const delta = await deltaBetween(v1.weights, v2.weights);
    for (const says of [
      { from: v1.digest, fromFile: digestOf(v1.weights) },
      { from: own.digest, fromFile: digestOf(v1.weights) },
      { from: own.digest, fromFile: digestOf(own.weights) },
    ]) {
      const annotated = says.from === own.digest;
      await offerDelta(node.registry, thief, [own, v2], { delta, annotated, says });
    }
    await node.fetch('b', thief, own.digest);
    node.outcomes.length = 0;
    expect(await codeOf(() => node.fetch('b', thief, v2.digest))).toBe('ARTIFACT_NOT_FOUND');
    expect(node.has('b', thief, v2.digest)).toBe(false);
    expect(results()).toEqual(['content']);
  });
});

describe('a fetch that is given up', () => {
  it.each(['/referrers/', '/blobs/'])(
    'at %s leaves nothing, and the next one takes the delta',
    async (place) => {
      await hasFirst();
      await offerDelta(node.registry, repository, [v1, v2]);
      const stop = new AbortController();
      const given = new Error('not wanted any more');
      const answer = node.registry.fetch;
      const stops: typeof fetch = async (input, init) => {
        if (new Request(input).url.includes(place)) stop.abort(given);
        init?.signal?.throwIfAborted();
        return await answer(input, init);
      };
      Object.assign(node.registry, { fetch: stops });
      await node.restart();
      const fetching = node.artifacts.fetch(wishOf('a', repository), v2.digest, { signal: stop.signal });
      await expect(fetching).rejects.toBe(given);
      expect(results()).toEqual([]);
      expect(await readdir(join(node.root, 'store/tmp'))).toEqual([]);
      await fetchSecond();
      expect(results()).toEqual(['applied']);
    },
  );
});

describe('a delta that is of no use ends in the whole file', () => {
  const comesWhole = async (result: string): Promise<void> => {
    await fetchSecond();
    expect(isWhole(v2)).toBe(true);
    expect(results()).toEqual([result]);
  };

  it('where its bytes are damaged, truncated, or make something else', async () => {
    await hasFirst();
    const good = await deltaBetween(v1.weights, v2.weights);
    const damaged = Buffer.from(good);
    damaged[good.length - 100] = (damaged[good.length - 100] ?? 0) ^ 8;
    const other = await deltaBetween(
      v1.weights,
      versionWith(trainedFrom(Buffer.from(v1.weights), 9)).weights,
    );
    for (const delta of [damaged, good.subarray(0, -50), other]) {
      await offerDelta(node.registry, repository, [v1, v2], { delta });
      await fetchSecond();
      expect(results().at(-1)).toBe('content');
      await node.artifacts.remove(v2.digest);
    }
  });

  it('where it is as large as the file', async () => {
    await hasFirst();
    await offerDelta(node.registry, repository, [v1, v2], { delta: Buffer.alloc(v2.weights.length) });
    await comesWhole('size');
    expect(node.registry.count('blobs')).toBe(1);
  });

  it('where the registry does not have its bytes', async () => {
    await hasFirst();
    await offerDelta(node.registry, repository, [v1, v2], { hasBytes: false });
    await comesWhole('download');
  });

  it.each([
    ['the look for it', () => '/referrers/', { lookupMs: 30 }],
    ['its bytes', (delta: string) => `/blobs/${delta}`, { stallMs: 30 }],
  ])('where %s takes too long', async (_, pathOf, times) => {
    await hasFirst();
    const { blobs } = await offerDelta(node.registry, repository, [v1, v2]);
    const slow = pathOf([...blobs.keys()][0] ?? '');
    const answer = node.registry.fetch;
    const stalls: typeof fetch = (input, init) => {
      if (!new Request(input).url.includes(slow)) return answer(input, init);
      const { promise, reject } = Promise.withResolvers<Response>();
      init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
      return promise;
    };
    Object.assign(node.registry, { fetch: stalls });
    Object.assign(node, times);
    await node.restart();
    await comesWhole('late');
  });

  it('where the registry fails at the look for it', async () => {
    await hasFirst();
    await offerDelta(node.registry, repository, [v1, v2]);
    const answer = node.registry.fetch;
    const fails: typeof fetch = async (input, init) =>
      new Request(input).url.includes('/referrers/')
        ? new Response(null, { status: 500 })
        : await answer(input, init);
    Object.assign(node.registry, { fetch: fails });
    await node.restart();
    await comesWhole('lookup');
  });

  it('where the disk has no room for both', async () => {
    await node[Symbol.asyncDispose]();
    node = await SharedNode.start(disk, v1.weights.length + v2.weights.length + 2000);
    node.registry.put(repository, v1);
    node.registry.put(repository, v2);
    await offerDelta(node.registry, repository, [v1, v2]);
    await hasFirst();
    await comesWhole('room');
  });

  it('where the disk is full at it', async () => {
    await node[Symbol.asyncDispose]();
    const rebuild = () => Promise.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' }));
    node = await SharedNode.start({ ...disk, rebuild }, 2_000_000);
    node.registry.put(repository, v1);
    node.registry.put(repository, v2);
    await offerDelta(node.registry, repository, [v1, v2]);
    await hasFirst();
    await comesWhole('room');
  });

  it('where its manifest is none, and another one is taken where that is good', async () => {
    await hasFirst();
    const junk = { ...filesArtifact({ a: 'b' }), blobs: new Map() };
    node.registry.refer(repository, v2.digest, junk, { artifactType: deltaType });
    await comesWhole('lookup');
    await node.artifacts.remove(v2.digest);
    await offerDelta(node.registry, repository, [v1, v2]);
    await fetchSecond();
    expect(results()).toEqual(['lookup', 'applied']);
  });

  it('where the base on the disk is damaged', async () => {
    await hasFirst();
    await offerDelta(node.registry, repository, [v1, v2]);
    const path = node.store.blobs(v1.digest).find(({ size }) => size > 1000)?.path ?? '';
    const bytes = await readFile(path);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await writeFile(path, bytes);
    await comesWhole('content');
  });

  it('where a list has more than is read of it', async () => {
    await hasFirst();
    for (let i = 0; i < 4; i++) {
      const other = versionWith(weightsOf(100 + i, 2048));
      await offerDelta(node.registry, repository, [other, v2], { annotated: false });
    }
    await offerDelta(node.registry, repository, [v1, v2]);
    node.registry.reads.length = 0;
    await comesWhole('none');
    // The manifest of the version, and four of deltas.
    expect(node.registry.count('manifests')).toBe(5);
  });
});
