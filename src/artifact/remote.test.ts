import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Digest } from '../api/names.ts';
import type { Source } from '../api/source.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { tarOf } from './artifact.fixture.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import { FakeHub } from './fake-hub.ts';
import type { FakeWeb } from './fake-web.ts';
import { defaultLimits } from './manifest.ts';
import { packFolder } from './pack.ts';
import { RemoteNode } from './remote-node.fixture.ts';
import { zipOf } from './zip.fixture.ts';

const upper = fileURLToPath(new URL('../../test/fixtures/models/tiny/adapters/upper', import.meta.url));
const never = new AbortController().signal;
const commit = 'c'.repeat(40);

const disk = diskOfTests();
let node: RemoteNode;
let web: FakeWeb;
let files: Record<string, Buffer>;
let packed: Digest;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-files-'));
  await cp(upper, folder, { recursive: true });
  const { digest } = await packFolder(folder, { disk, limits: defaultLimits, signal: never });
  packed = digest;
  const pairs = (await readdir(folder)).map(
    async (name) => [name, await readFile(join(folder, name))] as const,
  );
  files = Object.fromEntries(await Promise.all(pairs));
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  node = await RemoteNode.start(disk);
  ({ web } = node);
});
afterEach(() => node[Symbol.asyncDispose]());

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const tarred = (folder = '', content: Record<string, Buffer> = files): Buffer =>
  tarOf(Object.entries(content).map(([name, bytes]) => ({ name: `${folder}${name}`, bytes })));
const get = (source: Source, expected?: Digest, namespace?: string): Promise<Digest> =>
  node.fetch(source, expected, namespace);
const has = (source: Source, namespace?: string): boolean => node.has(packed, source, namespace);

const address = 'https://files.test/team/sql.tar.gz';
const httpSource = (bytes: Uint8Array, more: object = {}): Source => ({
  http: { url: address, sha256: sha256(bytes), ...more },
});
const withHeader = { header: { name: 'X-Token', secretKeyRef: { name: 'login', key: 'token' } } };
const hubOf = (more: object = {}): Source => ({
  huggingFace: { repo: 'team/sql', revision: commit, ...more },
});

describe('an archive of a web server', () => {
  it.each([
    ['tar', 'sql.tar', (bytes: Buffer) => bytes],
    ['tar.gz', 'sql.tgz', gzipSync],
    ['tar.zst', 'sql.tar.zst', zstdCompressSync],
  ] as const)('as %s has the digest that a push of its files has', async (archive, name, compress) => {
    for (const [url, more] of [
      [`https://files.test/${name}?v=1`, {}],
      ['https://files.test/sql', { archive }],
    ] as const) {
      const bytes = compress(tarred(url.includes('?') ? '' : 'release/sql/'));
      web.put(url, bytes);
      const source = { http: { url, sha256: sha256(bytes), ...more } };
      expect(await get(source)).toBe(packed);
      expect(has(source)).toBe(true);
      expect((await readdir(node.artifacts.folder(packed))).sort()).toEqual(Object.keys(files).sort());
      await node.artifacts.verify(packed, never);
      await node.artifacts.remove(packed);
      expect(node.store.usage.usedBytes).toBe(0);
    }
  });

  it('as zip has the same, from whatever tool and folder', async () => {
    const entries = Object.entries(files).map(([name, content]) => ({ name: `release/${name}`, content }));
    const bytes = zipOf([{ name: 'release/' }, ...entries]);
    web.put('https://files.test/sql.zip', bytes);
    expect(await get({ http: { url: 'https://files.test/sql.zip', sha256: sha256(bytes) } })).toBe(packed);
  });

  it('that has another sha256 is refused, after one download', async () => {
    web.put(address, gzipSync(tarred()));
    const source = httpSource(Buffer.from('another'));
    await expect(get(source)).rejects.toMatchObject({
      code: 'SOURCE_MISMATCH',
      retry: 'AfterChange',
      what: expect.stringMatching(/^https:\/\/files\.test\/team\/sql\.tar\.gz came as sha256:/),
    });
    // The first asks how long it is.
    expect(web.asked).toHaveLength(2);
    expect(node.store.usage.usedBytes).toBe(0);
  });

  it('with another digest than the pinned one is refused, without what its address asks for', async () => {
    const bytes = gzipSync(tarred());
    const url = `${address}?signature=secret`;
    web.put(url, bytes);
    const wrong = `sha256:${'0'.repeat(64)}` as Digest;
    const asked = get({ http: { url, sha256: sha256(bytes) } }, wrong);
    await expect(asked).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await expect(asked).rejects.not.toThrow(/secret/);
  });

  it.each([
    [404, 'ARTIFACT_NOT_FOUND'],
    [403, 'REGISTRY_DENIED'],
    [500, 'REGISTRY_UNAVAILABLE'],
  ])('that answers %d says %s', async (status, code) => {
    web.answer(address, () => new Response(null, { status }));
    expect(await codeOf(() => get(httpSource(Buffer.from('x'))))).toBe(code);
  });

  it('of which nobody says how long it is, is refused', async () => {
    web.answer(address, () => new Response(Buffer.from('x')));
    expect(await codeOf(() => get(httpSource(Buffer.from('x'))))).toBe('SOURCE_UNUSABLE');
  });

  it('with a link, or with two adapters, is refused', async () => {
    const link = gzipSync(tarOf([{ name: 'adapter_config.json', type: '2' }]));
    web.put(address, link);
    expect(await codeOf(() => get(httpSource(link)))).toBe('ARTIFACT_FILE_REFUSED');
    const two = gzipSync(tarOf([{ name: 'a/adapter_config.json' }, { name: 'b/adapter_config.json' }]));
    web.put(address, two);
    expect(await codeOf(() => get(httpSource(two)))).toBe('ARTIFACT_FILE_REFUSED');
    expect(node.store.usage.usedBytes).toBe(0);
  });

  it('is asked for with the header of its Secret, which goes to no other host', async () => {
    const bytes = gzipSync(tarred());
    const source = httpSource(bytes, withHeader);
    web.guard('https://files.test', 'x-token', 'Bearer secret');
    const location = 'https://storage.test/sql';
    web.answer(address, () => new Response(null, { status: 302, headers: { location } }));
    web.put(location, bytes);
    expect(await get(source)).toBe(packed);
    expect(web.to('https://storage.test').length).toBeGreaterThan(0);
    for (const { headers } of web.to('https://storage.test')) expect(headers.has('x-token')).toBe(false);
    expect(await codeOf(() => get(source, packed, 'guest'))).toBe('REGISTRY_DENIED');
  });

  it('is led to no registry, and to no server without encryption', async () => {
    for (const location of ['https://registry.test/v2/a/blobs/x', 'http://storage.test/sql']) {
      web.answer(address, () => new Response(null, { status: 302, headers: { location } }));
      expect(await codeOf(() => get(httpSource(Buffer.from('x'))))).toBe('REGISTRY_REDIRECTS');
    }
    const http = { url: 'http://files.test/a.tar', sha256: '0'.repeat(64) };
    expect(await codeOf(() => get({ http }))).toBe('REGISTRY_INSECURE');
  });
});

describe('a repository of a hub', () => {
  let hub: FakeHub;
  beforeEach(() => {
    hub = new FakeHub(web);
    hub.put('team/sql', commit, {
      ...files,
      'training_args.bin': Buffer.from('pickle'),
      'run/log.txt': Buffer.from('x'),
    });
  });

  it('has the digest that a push of its files has, and each large file comes once', async () => {
    expect(await get(hubOf())).toBe(packed);
    expect(has(hubOf())).toBe(true);
    await node.artifacts.verify(packed, never);
    expect(web.to(hub.storage)).toHaveLength(1);
    expect(web.asked.some(({ url }) => /training_args|log\.txt/.test(url))).toBe(false);
    await node.artifacts.remove(packed);
    expect(node.store.usage.usedBytes).toBe(0);
  });

  it('may have the adapter in a folder', async () => {
    const below = Object.fromEntries(
      Object.entries(files).map(([name, bytes]) => [`out/final/${name}`, bytes]),
    );
    hub.put('team/sql', commit, { ...below, 'README.md': Buffer.from('other') });
    expect(await get(hubOf({ subfolder: 'out/final' }))).toBe(packed);
    expect(await codeOf(() => get(hubOf()))).toBe('ARTIFACT_NOT_FOUND');
  });

  it('is asked with the token, which goes to no other host', async () => {
    web.guard(hub.endpoint, 'authorization', 'Bearer secret');
    const source = hubOf({ tokenSecretKeyRef: { name: 'hub', key: 'token' } });
    expect(await get(source)).toBe(packed);
    expect(web.to(hub.storage)).toHaveLength(1);
    for (const { headers } of web.to(hub.storage)) expect(headers.has('authorization')).toBe(false);
    expect(await codeOf(() => get(hubOf(), packed, 'other'))).toBe('REGISTRY_DENIED');
  });

  it('leads to no list of another host, which would get the token', async () => {
    const url = `${hub.endpoint}/api/models/team/sql/tree/${commit}`;
    const headers = { link: '<https://evil.test/more>; rel="next"' };
    web.answer(url, () => Response.json([], { headers }));
    const source = hubOf({ tokenSecretKeyRef: { name: 'hub', key: 'token' } });
    expect(await codeOf(() => get(source))).toBe('SOURCE_UNUSABLE');
    expect(web.to('https://evil.test')).toEqual([]);
  });

  it('that sends another file than it lists is refused, a small one too', async () => {
    const url = (name: string) => `${hub.endpoint}/team/sql/resolve/${commit}/${name}`;
    web.put(url('adapter_config.json'), Buffer.alloc(files['adapter_config.json']?.length ?? 0));
    expect(await codeOf(() => get(hubOf()))).toBe('ARTIFACT_CORRUPT');
    const weights = files['adapter_model.safetensors']?.length ?? 0;
    web.answer(url('adapter_model.safetensors'), () => new Response(Buffer.alloc(weights)));
    await node.artifacts.remove(packed);
    await node.restart();
    expect(await codeOf(() => get(hubOf()))).toBe('ARTIFACT_CORRUPT');
  });

  it.each([
    ['no JSON', () => new Response('<html>')],
    ['something else', () => Response.json({ error: 'x' })],
    ['a name that leads out', () => Response.json([{ type: 'file', path: '..', oid: '', size: 1 }])],
    [
      'a digest that is none',
      () => Response.json([{ type: 'file', path: 'a', oid: '', size: 1, lfs: { oid: 'x', size: 1 } }]),
    ],
  ])('with %s in place of its list is refused', async (_, answer) => {
    web.answer(`${hub.endpoint}/api/models/team/sql/tree/${commit}`, answer);
    expect(['SOURCE_UNUSABLE', 'ARTIFACT_FILE_REFUSED']).toContain(await codeOf(() => get(hubOf())));
  });

  it('with pickled weights is refused as a folder is', async () => {
    hub.put('team/sql', commit, { ...files, 'adapter_model.bin': Buffer.from('x') });
    expect(await codeOf(() => get(hubOf()))).toBe('ADAPTER_PICKLE');
  });
});

describe('the rights of namespaces', () => {
  it('another one is granted an archive once the server answered for it, without another download', async () => {
    const bytes = gzipSync(tarred());
    web.put(address, bytes);
    const source = httpSource(bytes);
    await get(source, packed, 'a');
    expect([has(source, 'a'), has(source, 'b')]).toEqual([true, false]);
    const before = web.asked.length;
    await get(source, packed, 'b');
    expect([has(source, 'b'), web.asked.length - before]).toEqual([true, 1]);
  });

  it('none is granted what a server has by a page to log in', async () => {
    const bytes = gzipSync(tarred());
    web.put(address, bytes);
    const source = httpSource(bytes, withHeader);
    await get(source, packed, 'a');
    web.answer(address, () => new Response('please log in', { headers: { 'content-length': '13' } }));
    expect(await codeOf(() => get(source, packed, 'guest'))).toBe('SOURCE_MISMATCH');
    expect(has(source, 'guest')).toBe(false);
  });

  it('none is granted files of a hub of which it may read the list alone', async () => {
    const hub = new FakeHub(web);
    hub.put('team/sql', commit, files);
    const source = hubOf({ tokenSecretKeyRef: { name: 'hub', key: 'token' } });
    for (const [name, bytes] of Object.entries(files))
      web.answer(`${hub.endpoint}/team/sql/resolve/${commit}/${name}`, (headers) =>
        headers.get('authorization') === 'Bearer secret'
          ? new Response(bytes)
          : new Response(null, { status: 403 }),
      );
    await get(source, packed, 'a');
    expect(await codeOf(() => get(source, packed, 'guest'))).toBe('REGISTRY_DENIED');
    expect([has(source, 'a'), has(source, 'guest')]).toEqual([true, false]);
    await get(source, packed, 'b');
    expect(has(source, 'b')).toBe(true);
  });

  it('none is granted what its own source did not send, although it is on the disk', async () => {
    const bytes = gzipSync(tarred());
    web.put(address, bytes);
    await get(httpSource(bytes), packed, 'a');
    const other: Source = { http: { url: 'https://other.test/sql.tar.gz', sha256: sha256(bytes) } };
    expect(await codeOf(() => get(other, packed, 'b'))).toBe('ARTIFACT_NOT_FOUND');
    expect(has(other, 'b')).toBe(false);
    web.put('https://other.test/sql.tar.gz', bytes);
    expect(await get(other, packed, 'b')).toBe(packed);
    const downloads = web.to('https://other.test').filter(({ headers }) => !headers.has('range'));
    expect(downloads).toHaveLength(1 + 0);
  });
});
