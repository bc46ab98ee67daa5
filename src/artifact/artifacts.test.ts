import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { type Digest, objectKey } from '../api/names.ts';
import type { Source } from '../api/source.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { filesArtifact } from './artifact.fixture.ts';
import { type Artifacts, createArtifacts } from './artifacts.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import { readCredentials } from './docker-config.ts';
import { Grants } from './grants.ts';
import { KeptBundles } from './kept-bundles.ts';
import { registryOptions } from './registry-options.fixture.ts';
import { BlobSenders } from './senders.ts';
import { SharedNode, wishOf as wishOfNamespace } from './shared-node.fixture.ts';
import { ContentStore } from './store.ts';
import type { Wish } from './wish.ts';

const upper = fileURLToPath(new URL('../../test/fixtures/models/tiny/adapters/upper', import.meta.url));
const never = new AbortController().signal;

const disk = diskOfTests();
let root: string;
let imports: string;
let store: ContentStore;
let artifacts: Artifacts;
beforeEach(async () => {
  root = folderOfTest();
  imports = join(root, 'imports');
  await cp(upper, join(imports, 'team/upper'), { recursive: true });
  store = await ContentStore.open({ root: join(root, 'store'), budgetBytes: 10_000_000, disk });
  artifacts = createArtifacts({
    store,
    disk,
    grants: await Grants.open(join(root, 'store'), [], []),
    bundles: await KeptBundles.open(join(root, 'store'), []),
    senders: await BlobSenders.open(join(root, 'store'), store, Date.now()),
    importRoots: [join(root, 'absent'), imports],
    registry: {
      fetch: () => Promise.reject(new TypeError('no network')),
      ...registryOptions,
    },
  });
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
});

const wishOf = (source: Source): Wish => ({ key: objectKey('team', 'adapter'), uid: 'uid', source });
const fetchPath = (path: string, expected?: Digest) =>
  artifacts.fetch(wishOf({ path: { path } }), expected, { signal: never });
const stored = (digest: Digest) => artifacts.stored(wishOf({ path: { path: 'team/upper' } }), digest);

describe('a path source', () => {
  it('is stored under the digest of its files', async () => {
    const { digest, bytes } = await fetchPath('team/upper');
    expect(stored(digest)?.bytes).toBe(bytes);
    const copy = await readFile(join(artifacts.folder(digest), 'adapter_model.safetensors'));
    expect(copy).toEqual(await readFile(join(upper, 'adapter_model.safetensors')));
    await rm(imports, { recursive: true });
    expect((await fetchPath('team/upper', digest)).digest).toBe(digest);
  });

  it('is refused when it has another digest than the pinned one', async () => {
    const pinned = `sha256:${'0'.repeat(64)}` as Digest;
    expect(await codeOf(() => fetchPath('team/upper', pinned))).toBe('DIGEST_MISMATCH');
    expect(store.usage.usedBytes).toBe(0);
  });

  it('must lie below an import root, also once links are followed', async () => {
    await cp(upper, join(root, 'outside'), { recursive: true });
    await symlink(join(root, 'outside'), join(imports, 'link'));
    await mkdir(`${imports}-sibling`);
    for (const path of ['link', '../outside', join(root, 'outside'), '../imports-sibling', '..', '.']) {
      expect(await codeOf(() => fetchPath(path)), path).toBe('SOURCE_NOT_ALLOWED');
    }
    expect(await codeOf(() => fetchPath('team/none'))).toBe('ARTIFACT_NOT_FOUND');
  });

  it('is set aside by quarantine and fetched again', async () => {
    const { digest } = await fetchPath('team/upper');
    await artifacts.quarantine(digest, 'test');
    expect(stored(digest)).toBeUndefined();
    expect((await fetchPath('team/upper', digest)).digest).toBe(digest);
  });
});

it('does not begin when the caller has left', async () => {
  const signal = AbortSignal.abort(new Error('left'));
  await expect(
    artifacts.fetch(wishOf({ path: { path: 'team/upper' } }), undefined, { signal }),
  ).rejects.toThrow('left');
});

it('says that a registry cannot be reached', async () => {
  const image = 'r.example/a:v1';
  const fetching = () => artifacts.fetch(wishOf({ oci: { image } }), undefined, { signal: never });
  expect(await codeOf(fetching)).toBe('REGISTRY_UNAVAILABLE');
});

const read = async (content: unknown, registry: string, repository = 'team/a') => {
  const path = join(root, 'config.json');
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return await readCredentials(path, registry, repository);
};

describe('what is admitted', () => {
  const source = { path: { path: 'team/upper' } };

  it('has room set aside for it after it was admitted and before the first byte', async () => {
    const heard: string[] = [];
    const free = store.freeBytes;
    let missing = 0;
    await artifacts.fetch(wishOf(source), undefined, {
      signal: never,
      admit: ({ missingBytes }) => {
        missing = missingBytes;
        heard.push(`admit ${free - store.freeBytes}`);
        return Promise.resolve();
      },
      onReserved: () => heard.push(`reserved ${free - store.freeBytes}`),
      onProgress: () => heard.push('progress'),
    });
    expect(missing).toBeGreaterThan(0);
    expect(heard.slice(0, 3)).toEqual(['admit 0', `reserved ${missing}`, 'progress']);
  });

  it('is also what is here and granted, with nothing missing', async () => {
    const { digest, bytes } = await fetchPath('team/upper');
    const arrivals: unknown[] = [];
    const admit = (arrival: unknown): Promise<void> => Promise.resolve(void arrivals.push(arrival));
    await artifacts.fetch(wishOf(source), digest, { signal: never, admit });
    expect(arrivals).toEqual([{ digest, bytes, missingBytes: 0 }]);
    const refuse = () => Promise.reject(new Error('no room'));
    const refused = artifacts.fetch(wishOf(source), digest, { signal: never, admit: refuse });
    await expect(refused).rejects.toThrow('no room');
  });

  it('is also what an image names by its digest, without its registry', async () => {
    await using node = await SharedNode.start(disk);
    const artifact = filesArtifact({ 'adapter_config.json': '{}', weights: 'w' });
    node.registry.put('x', artifact);
    await node.fetch('a', 'x');
    node.registry.isUp = false;
    const image = `r.test/x@${artifact.digest}`;
    const wish = { ...wishOfNamespace('a', 'x'), source: { oci: { image } } };
    const arrivals: Digest[] = [];
    const admit = (arrival: { digest: Digest }): Promise<void> =>
      Promise.resolve(void arrivals.push(arrival.digest));
    const fetched = await node.artifacts.fetch(wish, undefined, { signal: never, admit });
    expect([fetched.digest, arrivals]).toEqual([artifact.digest, [artifact.digest]]);
  });
});

describe('credentials of a docker config', () => {
  const auth = Buffer.from('u:p:q').toString('base64');

  it('are found by host, whatever the form of the key', async () => {
    const found = { username: 'u', password: 'p:q' };
    expect(await read({ auths: { 'r.example:5000': { auth } } }, 'r.example:5000')).toEqual(found);
    expect(await read({ auths: { 'https://r.example/v1/': { auth } } }, 'r.example')).toEqual(found);
    expect(await read({ auths: { r: { username: 'u', password: 'p:q' } } }, 'r')).toEqual(found);
    expect(await read({ auths: { 'r.example': { auth } } }, 'other.example')).toBeUndefined();
    expect(await read({ credsStore: 'desktop' }, 'r.example')).toBeUndefined();
    expect(await readCredentials(join(root, 'absent.json'), 'r.example', 'team/a')).toBeUndefined();
  });

  it('are those of the longest path to the repository, by whole parts', async () => {
    const of = (username: string) => ({ username, password: 'p' });
    const auths = {
      'r.example': of('all'),
      'r.example/team': of('team'),
      'https://r.example/team/a/': of('a'),
      '*.example': of('any'),
      '*.cloud.example': of('cloud'),
      'https://index.docker.io/v1/': of('hub'),
    };
    const user = async (registry: string, repository: string) => {
      const found = await read({ auths }, registry, repository);
      return found !== undefined && 'username' in found ? found.username : undefined;
    };
    expect(await user('r.example', 'team/a')).toBe('a');
    expect(await user('r.example', 'team/a/deep')).toBe('a');
    expect(await user('r.example', 'team/ab')).toBe('team');
    expect(await user('r.example', 'teams')).toBe('all');
    expect(await user('R.example', 'teams')).toBe('all');
    expect(await user('q.example', 'team/a')).toBe('any');
    expect(await user('q.cloud.example', 'team/a')).toBe('cloud');
    expect(await user('q.r.example', 'team/a')).toBeUndefined();
    expect(await user('docker.io', 'team/a')).toBe('hub');
    expect(await user('registry-1.docker.io', 'team/a')).toBe('hub');
    const onlyTeam = { auths: { 'r.example/team': of('team') } };
    expect(await read(onlyTeam, 'r.example', 'other/a')).toBeUndefined();
  });

  it('are never part of a message', async () => {
    expect(await codeOf(() => read('secret', 'r'))).toBe('CREDENTIALS_INVALID');
    await expect(read('secret', 'r')).rejects.not.toThrow('secret');
  });
});
