import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { objectKey } from '../api/names.ts';
import type { Source } from '../api/source.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { filesArtifact, tarOf } from './artifact.fixture.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import { FakeHub } from './fake-hub.ts';
import type { FakeWeb } from './fake-web.ts';
import { RemoteNode } from './remote-node.fixture.ts';
import { SharedNode } from './shared-node.fixture.ts';

const disk = diskOfTests();
let node: RemoteNode;
let web: FakeWeb;
beforeEach(async () => {
  node = await RemoteNode.start(disk);
  ({ web } = node);
});
afterEach(() => node[Symbol.asyncDispose]());

const files: Readonly<Record<string, Buffer>> = {
  'adapter_config.json': Buffer.from('{}'),
  'adapter_model.safetensors': Buffer.alloc(1_500_000, 'weights'),
};
const archive = tarOf(Object.entries(files).map(([name, bytes]) => ({ name, bytes })));
const sha256 = createHash('sha256').update(archive).digest('hex');
const from = (host: string): Source => ({ http: { url: `https://${host}/sql.tar`, sha256 } });
const commit = 'c'.repeat(40);
const hubbed: Source = { huggingFace: { repo: 'team/sql', revision: commit } };

/** Where requests for the archive began; the first of each fetch asks how long it is. */
const startsAt = (host: string): readonly number[] =>
  web.to(`https://${host}`).flatMap(({ headers }) => {
    const range = headers.get('range');
    return range === 'bytes=0-0' ? [] : [Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0)];
  });
/** The first request asks how long it is; the second is cut, and all after it bring nothing. */
const cutAt = (bytes: number): void => {
  let requests = 0;
  web.cutAfter = () => [Number.POSITIVE_INFINITY, bytes][requests++] ?? 0;
};
const uncut = (): void => {
  web.cutAfter = () => Number.POSITIVE_INFINITY;
};

describe('a download that broke off', () => {
  it('goes on where it was, at whatever bytes it is cut and however often the process ends', async () => {
    // Six of them are not all of it.
    const cut = fc.record({ bytes: fc.integer({ min: 1, max: 249_000 }), restarts: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(cut, { maxLength: 6 }), async (cuts) => {
        await using other = await RemoteNode.start(disk);
        ({ web } = other);
        web.put('https://a.test/sql.tar', archive);
        const expected: number[] = [];
        let at = 0;
        for (const { bytes, restarts } of cuts) {
          cutAt(bytes);
          expect(await codeOf(() => other.fetch(from('a.test')))).toBe('REGISTRY_UNAVAILABLE');
          expected.push(at);
          at = Math.min(archive.length, at + bytes);
          // It is asked once more, which brings nothing.
          expected.push(at);
          if (restarts) await other.restart();
          expect(other.store.usage.usedBytes).toBe(at);
        }
        uncut();
        const digest = await other.fetch(from('a.test'));
        expected.push(at);
        expect(startsAt('a.test')).toEqual(expected);
        await other.artifacts.verify(digest, new AbortController().signal);
      }),
      { numRuns: 12 },
    );
  });

  it('is gone on with by its own source alone, also in the next process', async () => {
    web.put('https://a.test/sql.tar', archive);
    // What is missing is zeros, which everybody knows.
    web.put('https://b.test/sql.tar', Buffer.alloc(archive.length));
    cutAt(archive.length - 1000);
    expect(await codeOf(() => node.fetch(from('a.test'), undefined, 'a'))).toBe('REGISTRY_UNAVAILABLE');
    await node.restart();
    expect(node.store.usage.usedBytes).toBe(archive.length - 1000);
    uncut();
    expect(await codeOf(() => node.fetch(from('b.test'), undefined, 'b'))).toBe('SOURCE_MISMATCH');
    expect(startsAt('b.test')).toEqual([0]);
  });

  it('of a file that was changed meanwhile is begun again by itself, which a wrong sha256 is not', async () => {
    const changed = Buffer.from(archive);
    changed[0] = 1;
    web.put('https://a.test/sql.tar', changed);
    cutAt(1000);
    expect(await codeOf(() => node.fetch(from('a.test')))).toBe('REGISTRY_UNAVAILABLE');
    web.put('https://a.test/sql.tar', archive);
    uncut();
    await expect(node.fetch(from('a.test'))).rejects.toMatchObject({
      code: 'ARTIFACT_CORRUPT',
      retry: 'Backoff',
    });
    await node.fetch(from('a.test'));
    expect(startsAt('a.test')).toEqual([0, 1000, 1000, 0]);
  });

  it('brings a whole file of another process once, and not for a source that did not send it', async () => {
    const hub = new FakeHub(web);
    hub.put('team/sql', commit, files);
    const small = `${hub.endpoint}/team/sql/resolve/${commit}/adapter_config.json`;
    web.answer(small, () => new Response(null, { status: 500 }));
    expect(await codeOf(() => node.fetch(hubbed))).toBe('REGISTRY_UNAVAILABLE');
    await node.restart();
    web.answer(small, () => new Response(files['adapter_config.json']));
    const digest = await node.fetch(hubbed);
    expect(web.to(hub.storage)).toHaveLength(1);
    web.put('https://a.test/sql.tar', archive);
    expect(node.has(digest, from('a.test'), 'a')).toBe(false);
    expect(await node.fetch(from('a.test'), digest, 'a')).toBe(digest);
    expect(startsAt('a.test')).toEqual([0]);
  });

  it('is no beginning of what comes out of a folder, nor the other way round', async () => {
    await using shared = await SharedNode.start(disk);
    const weights = 'w'.repeat(1_500_000);
    const artifact = filesArtifact({ 'adapter_config.json': '{}', 'adapter_model.safetensors': weights });
    shared.registry.put('x', artifact);
    shared.registry.cutAfter = 1000;
    expect(await codeOf(() => shared.fetch('b', 'x', artifact.digest))).toBe('REGISTRY_UNAVAILABLE');
    const folder = join(shared.imports, 'sql');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'adapter_config.json'), '{}');
    await writeFile(join(folder, 'adapter_model.safetensors'), weights);
    const left = new AbortController();
    const wish = { key: objectKey('a', 'sql'), uid: 'a', source: { path: { path: 'sql' } } };
    const fetching = shared.artifacts.fetch(wish, undefined, {
      signal: left.signal,
      // All of it is copied, and not looked at yet.
      onProgress: ({ receivedBytes }) => {
        if (receivedBytes >= weights.length) left.abort(new Error('not wanted any more'));
      },
    });
    await expect(fetching).rejects.toThrow('not wanted any more');
    expect(shared.store.usage.usedBytes).toBeGreaterThanOrEqual(weights.length);
    expect(await codeOf(() => shared.fetch('b', 'x', artifact.digest))).toBe('REGISTRY_UNAVAILABLE');
    expect(shared.has('b', 'x', artifact.digest)).toBe(false);
  });

  it('gives way to an archive that is unpacked', async () => {
    await using small = await RemoteNode.start(disk, 4_000_000);
    ({ web } = small);
    web.put('https://a.test/sql.tar', archive);
    const other = Buffer.alloc(1_500_000, 'other');
    web.put('https://b.test/sql.tar', other);
    cutAt(1_200_000);
    const sha = createHash('sha256').update(other).digest('hex');
    const left: Source = { http: { url: 'https://b.test/sql.tar', sha256: sha } };
    expect(await codeOf(() => small.fetch(left))).toBe('REGISTRY_UNAVAILABLE');
    expect(small.store.usage.usedBytes).toBe(1_200_000);
    uncut();
    const digest = await small.fetch(from('a.test'));
    await small.artifacts.verify(digest, new AbortController().signal);
    expect(await readdir(join(small.root, 'store/tmp'))).toEqual([]);
  });

  it('comes also where somebody removed the folder that it comes to', async () => {
    web.put('https://a.test/sql.tar', archive);
    await rm(join(node.root, 'store/tmp'), { recursive: true });
    await node.artifacts.verify(await node.fetch(from('a.test')), new AbortController().signal);
  });

  it('of a registry goes on in the next process, for the namespace whose source began it', async () => {
    await using shared = await SharedNode.start(disk);
    const weights = 'w'.repeat(1_500_000);
    const artifact = filesArtifact({ 'adapter_config.json': '{}', 'adapter_model.safetensors': weights });
    for (const repository of ['x', 'y']) shared.registry.put(repository, artifact);
    shared.registry.cutAfter = 1_000_000;
    expect(await codeOf(() => shared.fetch('a', 'x', artifact.digest))).toBe('REGISTRY_UNAVAILABLE');
    await shared.restart();
    // Enough for the rest, and not for the whole.
    shared.registry.cutAfter = 600_000;
    expect(await codeOf(() => shared.fetch('a', 'x', artifact.digest))).toBe('none');
    await shared.artifacts.remove(artifact.digest);
    shared.registry.cutAfter = 1_000_000;
    expect(await codeOf(() => shared.fetch('a', 'x', artifact.digest))).toBe('REGISTRY_UNAVAILABLE');
    await shared.restart();
    shared.registry.cutAfter = 600_000;
    expect(await codeOf(() => shared.fetch('b', 'y', artifact.digest))).toBe('REGISTRY_UNAVAILABLE');
  });
});
