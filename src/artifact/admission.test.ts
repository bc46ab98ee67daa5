import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Digest, objectKey } from '../api/names.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { artifactOf, type FixtureArtifact, fileLayer, filesArtifact } from './artifact.fixture.ts';
import { digestOf } from './digest.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import { SharedNode, wishOf } from './shared-node.fixture.ts';

const never = new AbortController().signal;
const weights = 'w'.repeat(1000);
const secret = filesArtifact({ 'adapter_config.json': '{"r":1}', 'adapter_model.safetensors': weights });
const secretWeights = digestOf(Buffer.from(weights));

const disk = diskOfTests();
let node: SharedNode;
beforeEach(async () => {
  node = await SharedNode.start(disk);
  node.registry.put('team-a/sql', secret);
  node.registry.allow('team-a/sql', ['a', 'friend']);
  await node.fetch('a', 'team-a/sql');
  node.registry.reads.length = 0;
});
afterEach(() => node[Symbol.asyncDispose]());

const refusal = (namespace: string, repository: string, digest?: Digest): Promise<string> =>
  codeOf(() => node.fetch(namespace, repository, digest));

describe('a digest on the disk of a node', () => {
  it('is there for who fetched it, and for nobody else', () => {
    expect(node.has('a', 'team-a/sql', secret.digest)).toBe(true);
    expect(node.has('b', 'team-a/sql', secret.digest)).toBe(false);
    expect(node.has('a', 'team-a/other', secret.digest)).toBe(false);
  });

  it('costs another namespace that may read it one manifest, and no blob', async () => {
    expect((await node.fetch('friend', 'team-a/sql', secret.digest)).digest).toBe(secret.digest);
    expect([node.registry.count('manifests'), node.registry.count('blobs')]).toEqual([1, 0]);
    expect(node.has('friend', 'team-a/sql', secret.digest)).toBe(true);
    await node.fetch('friend', 'team-a/sql', secret.digest);
    expect(node.registry.count('manifests')).toBe(1);
  });

  it('is refused to who may not read it, while the other keeps it', async () => {
    expect(await refusal('b', 'team-a/sql', secret.digest)).toBe('REGISTRY_DENIED');
    expect(await refusal('b', 'team-b/own', secret.digest)).toBe('ARTIFACT_NOT_FOUND');
    expect(node.has('b', 'team-a/sql', secret.digest)).toBe(false);
    expect(node.has('b', 'team-b/own', secret.digest)).toBe(false);
    expect(node.has('a', 'team-a/sql', secret.digest)).toBe(true);
  });

  it('is asked for with the credential of the namespace alone, however the registry was asked before', async () => {
    await refusal('b', 'team-a/sql', secret.digest);
    expect(node.registry.reads.map(({ user }) => user)).toEqual(['b']);
  });

  it('is refused in the same words as one that nobody has', async () => {
    const unknown = filesArtifact({ 'adapter_config.json': '{}' }).digest;
    const said = async (repository: string, digest: Digest): Promise<string> => {
      const error: unknown = await node.fetch('b', repository, digest).catch((thrown: unknown) => thrown);
      return String(error).replaceAll(digest, 'DIGEST');
    };
    for (const repository of ['team-a/sql', 'team-b/own'])
      expect(await said(repository, secret.digest)).toBe(await said(repository, unknown));
    node.registry.isUp = false;
    expect(await said('team-a/sql', secret.digest)).toBe(await said('team-a/sql', unknown));
  });

  it('stays with who has it while the registry is away, also after a restart, and with nobody else', async () => {
    node.registry.isUp = false;
    for (const restart of [false, true]) {
      if (restart) await node.restart();
      expect((await node.fetch('a', 'team-a/sql', secret.digest)).digest).toBe(secret.digest);
      expect(await refusal('friend', 'team-a/sql', secret.digest)).toBe('REGISTRY_UNAVAILABLE');
    }
    node.registry.isUp = true;
    await node.fetch('friend', 'team-a/sql', secret.digest);
    expect(node.registry.count('blobs')).toBe(0);
  });

  it('is its no longer once it is released, as if nobody else had it', async () => {
    await node.fetch('friend', 'team-a/sql', secret.digest);
    await node.artifacts.release(wishOf('a', 'team-a/sql'), secret.digest);
    expect([
      node.has('a', 'team-a/sql', secret.digest),
      node.has('friend', 'team-a/sql', secret.digest),
    ]).toEqual([false, true]);
    node.registry.isUp = false;
    expect(await refusal('a', 'team-a/sql', secret.digest)).toBe('REGISTRY_UNAVAILABLE');
  });
});

describe('a source that names digests that it does not have', () => {
  it('opens nothing by the manifest of another', async () => {
    node.registry.put('b/own', secret, [...secret.blobs.keys()]);
    expect(await refusal('b', 'b/own', secret.digest)).toBe('ARTIFACT_NOT_FOUND');
    expect(node.has('b', 'b/own', secret.digest)).toBe(false);
  });

  it('opens nothing by a manifest of its own that lists the weights of another', async () => {
    const thief = artifactOf([
      fileLayer('adapter_config.json', '{"r":2}'),
      fileLayer('adapter_model.safetensors', weights),
    ]);
    node.registry.put('b/own', thief, [secretWeights]);
    expect(await refusal('b', 'b/own')).toBe('ARTIFACT_NOT_FOUND');
    expect(node.has('b', 'b/own', thief.digest)).toBe(false);
    expect(node.store.stored(thief.digest)).toBeUndefined();
  });

  it('is believed once it sent them, and they lie on the disk once', async () => {
    node.registry.put('b/copy', secret);
    const before = node.store.usage.usedBytes;
    expect((await node.fetch('b', 'b/copy', secret.digest)).digest).toBe(secret.digest);
    expect(node.registry.count('blobs')).toBe(secret.blobs.size);
    expect(node.has('b', 'b/copy', secret.digest)).toBe(true);
    expect(node.store.usage.usedBytes).toBe(before);
  });

  it('needs no room for what is compared', async () => {
    await using small = await SharedNode.start(disk, 1500);
    small.registry.put('team-a/sql', secret);
    small.registry.put('b/copy', secret);
    await small.fetch('a', 'team-a/sql');
    expect((await small.fetch('b', 'b/copy', secret.digest)).digest).toBe(secret.digest);
    expect(await readdir(join(small.root, 'store/tmp'))).toEqual([]);
  });

  it('is asked in the order of its manifest, whatever is here', async () => {
    const mixed = artifactOf([
      fileLayer('adapter_config.json', '{"r":7}'),
      fileLayer('adapter_model.safetensors', weights),
      fileLayer('README.md', 'new'),
      fileLayer('config.json', '{"r":1}'),
    ]);
    node.registry.put('b/own', mixed);
    await node.fetch('b', 'b/own');
    const asked = node.registry.reads.map(({ path }) => path).filter((path) => path.includes('/blobs/'));
    expect(asked).toEqual([...mixed.blobs.keys()].map((digest) => `b/own/blobs/${digest}`));
  });

  it('cannot send other bytes for them', async () => {
    const forged = new Map(secret.blobs).set(secretWeights, Buffer.from('x'.repeat(1000)));
    node.registry.put('b/own', { ...secret, blobs: forged });
    expect(await refusal('b', 'b/own', secret.digest)).toBe('ARTIFACT_CORRUPT');
    expect(node.has('b', 'b/own', secret.digest)).toBe(false);
  });

  it('gets nothing of what arrived for another that broke off', async () => {
    const big = filesArtifact({ 'adapter_config.json': '{}', 'adapter_model.safetensors': 'z'.repeat(2000) });
    const { registry } = node;
    registry.put('team-a/big', big);
    registry.cutAfter = 1999;
    expect(await refusal('a', 'team-a/big')).toBe('REGISTRY_UNAVAILABLE');
    registry.cutAfter = Number.POSITIVE_INFINITY;
    // It knows the end of the file, and nothing before it.
    const bigWeights = digestOf(Buffer.from('z'.repeat(2000)));
    const forged = Buffer.from(`${'?'.repeat(1999)}z`);
    registry.put('b/own', { ...big, blobs: new Map(big.blobs).set(bigWeights, forged) });
    expect(await refusal('b', 'b/own')).toBe('ARTIFACT_CORRUPT');
    expect(node.has('b', 'b/own', big.digest)).toBe(false);
    expect((await node.fetch('a', 'team-a/big')).digest).toBe(big.digest);
  });

  it('gets nothing by a copy beside a slow source, unless it sends all of it itself', async () => {
    const big = filesArtifact({ 'adapter_config.json': '{}', 'adapter_model.safetensors': 'v'.repeat(2000) });
    const bigWeights = digestOf(Buffer.from('v'.repeat(2000)));
    const { registry } = node;
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const repository of ['team-a/big', 'b/own', 'friend/own']) registry.put(repository, big);
    registry.stalled.set('team-a/big', promise);
    const slow = node.fetch('a', 'team-a/big');
    await expect.poll(() => registry.reads.some(({ path }) => path.startsWith('team-a/big'))).toBe(true);
    registry.put('b/own', {
      ...big,
      blobs: new Map(big.blobs).set(bigWeights, Buffer.from('?'.repeat(2000))),
    });
    expect(await refusal('b', 'b/own')).toBe('ARTIFACT_CORRUPT');
    expect((await node.fetch('friend', 'friend/own')).digest).toBe(big.digest);
    const has = () => [
      node.has('a', 'team-a/big', big.digest),
      node.has('b', 'b/own', big.digest),
      node.has('friend', 'friend/own', big.digest),
    ];
    expect(has()).toEqual([false, false, true]);
    resolve();
    await slow;
    expect(has()).toEqual([true, false, true]);
  });

  it('goes on with what its own attempt brought', async () => {
    const big = filesArtifact({
      'adapter_config.json': '{"r":3}',
      'adapter_model.safetensors': 'y'.repeat(2000),
    });
    const { registry } = node;
    registry.put('team-a/big', big);
    registry.cutAfter = 1500;
    expect(await refusal('a', 'team-a/big')).toBe('REGISTRY_UNAVAILABLE');
    registry.reads.length = 0;
    registry.cutAfter = 600;
    expect((await node.fetch('a', 'team-a/big')).digest).toBe(big.digest);
    expect(registry.count('blobs')).toBe(1);
  });
});

describe('a folder on the node', () => {
  const fixtures = fileURLToPath(new URL('../../test/fixtures/models/tiny/adapters', import.meta.url));
  const folder = (namespace: string, path: string) => ({
    key: objectKey(namespace, path),
    uid: `${namespace}-${path}`,
    source: { path: { path } },
  });
  const fetchFolder = (namespace: string, path: string, digest?: Digest) =>
    node.artifacts.fetch(folder(namespace, path), digest, { signal: never });
  let digest: Digest;
  beforeEach(async () => {
    for (const name of ['upper', 'reverse'])
      await cp(join(fixtures, name), join(node.imports, name), { recursive: true });
    ({ digest } = await fetchFolder('a', 'upper'));
  });

  it('is there for another namespace once it was read for it', async () => {
    expect(node.artifacts.stored(folder('b', 'upper'), digest)).toBeUndefined();
    expect(await codeOf(() => fetchFolder('b', 'reverse', digest))).toBe('DIGEST_MISMATCH');
    expect((await fetchFolder('b', 'upper', digest)).digest).toBe(digest);
    expect(node.artifacts.stored(folder('b', 'upper'), digest)).toBeDefined();
  });

  it('stays when it goes, for who has it, as long as its root is allowed', async () => {
    await rm(node.imports, { recursive: true });
    await node.restart();
    expect((await fetchFolder('a', 'upper', digest)).digest).toBe(digest);
    expect(await codeOf(() => fetchFolder('b', 'upper', digest))).toBe('ARTIFACT_NOT_FOUND');
    await node.restart({ importRoots: [join(node.root, 'elsewhere')] });
    expect(node.artifacts.stored(folder('a', 'upper'), digest)).toBeUndefined();
  });
});

describe('any order of fetches, releases, removals and restarts', () => {
  const repositories = ['x', 'y'] as const;
  const namespaces = ['a', 'b'] as const;
  const contents = ['1', '2'].map((text) =>
    filesArtifact({ 'adapter_config.json': '{}', weights: text.repeat(50) }),
  );
  const whoAndWhat = {
    namespace: fc.constantFrom(...namespaces),
    repository: fc.constantFrom(...repositories),
    content: fc.constantFrom(0, 1),
  };
  const isUp = fc.constantFrom(true, true, true, false);
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('fetch' as const), isUp, ...whoAndWhat }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), ...whoAndWhat }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), ...whoAndWhat }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), ...whoAndWhat }) },
  );

  it('gives a namespace what its source gave it since it last let go of it, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), async (steps) => {
        await using shared = await SharedNode.start(disk);
        // `a` may read both repositories, `b` only y; y has the second content without its weights.
        const [first, second] = contents as [FixtureArtifact, FixtureArtifact];
        for (const content of contents) shared.registry.put('x', content);
        shared.registry.put('y', first);
        shared.registry.put('y', second, [...second.blobs.keys()]);
        shared.registry.allow('x', ['a']);
        const model = new Set<string>();
        for (const { namespace, repository, content, ...rest } of steps) {
          const { digest } = contents[content] ?? first;
          const name = `${namespace} ${repository} ${digest}`;
          if (rest.kind === 'fetch') {
            shared.registry.isUp = rest.isUp;
            const before = shared.registry.reads.length;
            const got = await shared.fetch(namespace, repository, digest).then(
              () => true,
              () => false,
            );
            const asked = shared.registry.reads.slice(before);
            if (got && !model.has(name))
              expect(asked).toContainEqual({
                user: repository === 'x' ? namespace : '',
                path: `${repository}/manifests/${digest}`,
              });
            if (model.has(name)) expect([got, asked]).toEqual([true, []]);
            const may = repository === 'x' ? namespace === 'a' : digest === first.digest;
            expect(got).toBe(may && (rest.isUp || model.has(name)));
            if (got) model.add(name);
          } else if (rest.kind === 'release') {
            await shared.artifacts.release(wishOf(namespace, repository), digest);
            for (const other of repositories) model.delete(`${namespace} ${other} ${digest}`);
          } else if (rest.kind === 'remove') {
            await shared.artifacts.remove(digest);
            for (const other of model) if (other.endsWith(digest)) model.delete(other);
          } else await shared.restart();
          for (const who of namespaces)
            for (const where of repositories)
              for (const { digest: what } of contents)
                expect(shared.has(who, where, what)).toBe(model.has(`${who} ${where} ${what}`));
        }
      }),
      { numRuns: 60 },
    );
  });
});
