import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Digest, namespaceOf, objectKey } from '../../src/api/names.ts';
import type { Source } from '../../src/api/source.ts';
import { type Artifacts, createArtifacts } from '../../src/artifact/artifacts.ts';
import { diskOfTests } from '../../src/artifact/disk-thread.fixture.ts';
import { credentialsIn } from '../../src/artifact/docker-config.ts';
import { Grants } from '../../src/artifact/grants.ts';
import { KeptBundles } from '../../src/artifact/kept-bundles.ts';
import { defaultLimits } from '../../src/artifact/manifest.ts';
import { packFolder } from '../../src/artifact/pack.ts';
import { ownLogin } from '../../src/artifact/registry-http.ts';
import { BlobSenders } from '../../src/artifact/senders.ts';
import { ContentStore } from '../../src/artifact/store.ts';
import type { Wish } from '../../src/artifact/wish.ts';
import { codeOf } from '../../src/errors/code-of.fixture.ts';
import { systemClock } from '../../src/time/clock.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { tool } from '../tools/build.ts';
import { type RegistryAuth, type RegistryProcess, startRegistry } from '../tools/registry-process.ts';

const adapters = fileURLToPath(new URL('../fixtures/models/tiny/adapters', import.meta.url));
const [registryTool, oras] = [await tool('registry'), await tool('oras')];
const missing = registryTool === undefined || oras === undefined;
const reason = missing ? ' (SKIPPED: go is not installed, so the registry and oras cannot be built)' : '';

const never = new AbortController().signal;
const execute = promisify(execFile);
const root = folderOfTests();
const disk = diskOfTests();

/** A node with an empty store. `dockerConfig`: file with the credentials of a namespace. */
const node = async (
  name: string,
  dockerConfig: string | ((namespace: string) => string | undefined) = () => undefined,
): Promise<Artifacts & AsyncDisposable> => {
  const configOf = typeof dockerConfig === 'string' ? () => dockerConfig : dockerConfig;
  const folder = join(root, name);
  const store = await ContentStore.open({ root: folder, budgetBytes: 64 * 1024 ** 2, disk });
  const artifacts = createArtifacts({
    store,
    disk,
    grants: await Grants.open(folder, store.list(), []),
    bundles: await KeptBundles.open(folder, store.list()),
    senders: await BlobSenders.open(folder, store, Date.now()),
    importRoots: [adapters],
    registry: {
      fetch,
      clock: systemClock,
      random: Math.random,
      attempts: 3,
      idleMs: 5000,
      insecureHosts: [],
      credentials: () => Promise.resolve(undefined),
    },
    loginFor: (key) => {
      const namespace = namespaceOf(key);
      return { ...ownLogin(credentialsIn(configOf(namespace))), name: namespace };
    },
  });
  return { ...artifacts, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
};

const wishOf = (source: Source, namespace = 'team'): Wish => ({
  key: objectKey(namespace, 'adapter'),
  uid: namespace,
  source,
});

const pull = (artifacts: Artifacts, image: string, expected?: Digest, namespace?: string) =>
  artifacts.fetch(wishOf({ oci: { image } }, namespace), expected, { signal: never });

const storedAs = (artifacts: Artifacts, image: string, digest: Digest, namespace?: string) =>
  artifacts.stored(wishOf({ oci: { image } }, namespace), digest);

const refusal = (run: Promise<unknown>): Promise<string> => codeOf(() => run);

/** Runs the real oras; resolves with the digest that it prints. */
const orasRun = async (args: readonly string[], cwd: string): Promise<Digest> => {
  const { stdout } = await execute(oras ?? '', [...args], { cwd, env: { ...process.env, HOME: root } });
  return (/Digest: (sha256:[0-9a-f]{64})/.exec(stdout)?.[1] ?? '') as Digest;
};

const adapterFiles = ['adapter_config.json', 'adapter_model.safetensors'];

const push = (image: string, name: string, auth?: RegistryAuth): Promise<Digest> => {
  const login = auth === undefined ? [] : ['--username', auth.user, '--password', auth.password];
  return orasRun(['push', '--plain-http', ...login, image, ...adapterFiles], join(adapters, name));
};

const expectFiles = async (folder: string, name: string, files = adapterFiles): Promise<void> => {
  expect((await readdir(folder)).sort()).toEqual(files);
  for (const file of files) {
    expect(await readFile(join(folder, file))).toEqual(await readFile(join(adapters, name, file)));
  }
};

const writeDockerConfig = async (name: string, host: string, auth: RegistryAuth): Promise<string> => {
  const path = join(root, name);
  const value = Buffer.from(`${auth.user}:${auth.password}`).toString('base64');
  await writeFile(path, JSON.stringify({ auths: { [`http://${host}/v2/`]: { auth: value } } }));
  return path;
};

const afterTurns = (turns: number, run: () => void): void => {
  if (turns === 0) run();
  else setImmediate(() => afterTurns(turns - 1, run));
};

/** Forwards to the registry; `tamper` may answer a request itself. */
type Damage = { readonly cutAfter?: number; readonly flip?: boolean };
type Tamper = (path: string, range: string | undefined) => Damage | undefined;
const startProxy = async (
  target: string,
  tamper: Tamper,
): Promise<AsyncDisposable & { readonly host: string }> => {
  const server: Server = createServer((incoming, outgoing) => {
    const { url: path = '/', headers, method } = incoming;
    const { cutAfter = Number.POSITIVE_INFINITY, flip = false } = tamper(path, headers.range) ?? {};
    const forward = request(`http://${target}${path}`, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      let sent = 0;
      answer.on('data', (chunk: Buffer) => {
        const piece = chunk.subarray(0, Math.max(0, cutAfter - sent));
        if (flip) piece.writeUInt8(piece.readUInt8(0) ^ 1, 0);
        sent += piece.length;
        outgoing.write(piece, () => {
          // The client is in this process: after some turns of the loop it has read what was sent. A connection that
          // breaks before that may take the bytes with it.
          if (sent >= cutAfter) afterTurns(50, () => outgoing.destroy());
        });
      });
      answer.on('end', () => outgoing.end());
    });
    forward.on('error', () => outgoing.destroy());
    forward.end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

describe.skipIf(missing)(`adapters from a real registry, pushed by the real oras${reason}`, () => {
  let open: RegistryProcess;
  beforeAll(async () => {
    open = await startRegistry(registryTool ?? '', { dir: join(root, 'registry') });
  });
  afterAll(async () => {
    await open[Symbol.asyncDispose]();
  });

  it('has the digest that oras printed, and the same bytes, by tag and by digest', async () => {
    const pushed = await push(`${open.host}/team/upper:v1`, 'upper');
    await using artifacts = await node('plain');
    const fetched = await pull(artifacts, `${open.host}/team/upper:v1`);
    expect(fetched.digest).toBe(pushed);
    const image = `${open.host}/team/upper:v1`;
    expect(storedAs(artifacts, image, pushed)).toMatchObject({ bytes: fetched.bytes });
    await expectFiles(artifacts.folder(pushed), 'upper');
    await artifacts.remove(pushed);
    expect(storedAs(artifacts, image, pushed)).toBeUndefined();
    expect((await pull(artifacts, `${open.host}/team/upper@${pushed}`)).digest).toBe(pushed);
  });

  it('reports progress up to all bytes', async () => {
    await push(`${open.host}/team/hello:v1`, 'hello');
    await using artifacts = await node('progress');
    const seen: number[] = [];
    let total = 0;
    const onProgress = (p: { receivedBytes: number; totalBytes: number }) => {
      seen.push(p.receivedBytes);
      total = p.totalBytes;
    };
    await artifacts.fetch(wishOf({ oci: { image: `${open.host}/team/hello:v1` } }), undefined, {
      signal: never,
      onProgress,
    });
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(total);
  });

  it('reads a folder that oras packed into one archive', async () => {
    const folder = join(root, 'as-folder');
    await cp(join(adapters, 'hello'), join(folder, 'hello'), { recursive: true });
    const pushed = await orasRun(['push', '--plain-http', `${open.host}/team/folder:v1`, 'hello/'], folder);
    await using artifacts = await node('folder');
    expect((await pull(artifacts, `${open.host}/team/folder:v1`)).digest).toBe(pushed);
    await expectFiles(artifacts.folder(pushed), 'hello');
  });

  it('gives a folder on the node and the same folder in the registry one digest', async () => {
    const packed = await packFolder(join(adapters, 'digits'), { disk, limits: defaultLimits, signal: never });
    const layout = join(root, 'layout');
    await mkdir(join(layout, 'blobs/sha256'), { recursive: true });
    await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    const put = (digest: Digest, bytes: Uint8Array) =>
      writeFile(join(layout, 'blobs/sha256', digest.slice('sha256:'.length)), bytes);
    await put(packed.digest, packed.manifest);
    for (const [digest, blob] of packed.blobs) {
      await put(digest, 'path' in blob ? await readFile(blob.path) : blob.bytes);
    }
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const manifests = [{ mediaType, digest: packed.digest, size: packed.manifest.length }];
    await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
    const from = `${layout}@${packed.digest}`;
    await orasRun(['cp', '--from-oci-layout', '--to-plain-http', from, `${open.host}/team/digits:v1`], root);

    await using artifacts = await node('pull-packed');
    expect((await pull(artifacts, `${open.host}/team/digits:v1`)).digest).toBe(packed.digest);
    await using local = await node('path-packed');
    const imported = await local.fetch(wishOf({ path: { path: 'digits' } }), undefined, { signal: never });
    expect(imported.digest).toBe(packed.digest);
    await expectFiles(local.folder(imported.digest), 'digits');
  });

  it('goes on where a connection broke off', async () => {
    const pushed = await push(`${open.host}/team/reverse:v1`, 'reverse');
    const ranges: (string | undefined)[] = [];
    let cuts = 0;
    await using proxy = await startProxy(open.host, (path, range) => {
      if (!path.includes('/blobs/')) return undefined;
      ranges.push(range);
      return cuts++ < 3 ? { cutAfter: 600 } : undefined;
    });
    await using artifacts = await node('resume');
    expect((await pull(artifacts, `${proxy.host}/team/reverse:v1`)).digest).toBe(pushed);
    await expectFiles(artifacts.folder(pushed), 'reverse');
    expect(ranges).toContainEqual(expect.stringMatching(/^bytes=600-\d+$/));
  });

  it('keeps what arrived when it gives up, for the next attempt', async () => {
    const pushed = await push(`${open.host}/team/partial:v1`, 'reverse');
    const ranges: (string | undefined)[] = [];
    let works = false;
    await using proxy = await startProxy(open.host, (path, range) => {
      if (!path.includes('/blobs/')) return undefined;
      ranges.push(range);
      return works ? undefined : { cutAfter: range === undefined ? 600 : 0 };
    });
    await using artifacts = await node('give-up');
    expect(await refusal(pull(artifacts, `${proxy.host}/team/partial:v1`))).toBe('REGISTRY_UNAVAILABLE');
    works = true;
    ranges.length = 0;
    expect((await pull(artifacts, `${proxy.host}/team/partial:v1`)).digest).toBe(pushed);
    expect(ranges).toContainEqual(expect.stringMatching(/^bytes=600-\d+$/));
  });

  it('refuses a blob that was damaged on its way, and takes it once it comes whole', async () => {
    const pushed = await push(`${open.host}/team/damaged:v1`, 'upper');
    let flip = true;
    await using proxy = await startProxy(open.host, (path) =>
      path.includes('/blobs/') ? { flip } : undefined,
    );
    await using artifacts = await node('damaged');
    const image = `${proxy.host}/team/damaged:v1`;
    expect(await refusal(pull(artifacts, image))).toBe('ARTIFACT_CORRUPT');
    expect(storedAs(artifacts, image, pushed)).toBeUndefined();
    flip = false;
    expect((await pull(artifacts, image)).digest).toBe(pushed);
  });

  it('says that a tag, a repository or a digest is not there', async () => {
    await push(`${open.host}/team/there:v1`, 'upper');
    await using artifacts = await node('absent');
    const absent = `sha256:${'0'.repeat(64)}`;
    for (const image of ['team/there:v2', 'team/nowhere:v1', `team/there@${absent}`]) {
      expect(await refusal(pull(artifacts, `${open.host}/${image}`))).toBe('ARTIFACT_NOT_FOUND');
    }
  });

  it('pulls the pinned digest when the tag has moved on, and says what the tag has when the digest is gone', async () => {
    const first = await push(`${open.host}/team/moving:v1`, 'upper');
    const second = await push(`${open.host}/team/moving:v1`, 'hello');
    await using artifacts = await node('moved');
    expect((await pull(artifacts, `${open.host}/team/moving:v1`, first)).digest).toBe(first);
    const gone = `sha256:${'1'.repeat(64)}` as Digest;
    const refused = pull(artifacts, `${open.host}/team/moving:v1`, gone);
    await expect(refused).rejects.toThrow(second);
    expect(await refusal(refused)).toBe('DIGEST_MISMATCH');
    expect(await refusal(pull(artifacts, `${open.host}/team/moving@${first}`, second))).toBe(
      'DIGEST_MISMATCH',
    );
  });

  it('takes the artifact of an index of one under its own digest, and refuses an index of two', async () => {
    const image = `${open.host}/team/index`;
    const pushed = await push(`${image}:a`, 'upper');
    await push(`${image}:b`, 'hello');
    const index = (name: string, ...tags: readonly string[]) =>
      orasRun(['manifest', 'index', 'create', '--plain-http', `${image}:${name}`, ...tags], root);
    await index('one', 'a');
    await index('two', 'a', 'b');
    await using artifacts = await node('index');
    expect((await pull(artifacts, `${image}:one`)).digest).toBe(pushed);
    expect(await refusal(pull(artifacts, `${image}:two`))).toBe('ARTIFACT_INDEX');
  });

  it('answers a registry that is not there as one that may come back', async () => {
    await using gone = await startProxy(open.host, () => undefined);
    const { host } = gone;
    await gone[Symbol.asyncDispose]();
    await using artifacts = await node('unreachable');
    expect(await refusal(pull(artifacts, `${host}/team/upper:v1`))).toBe('REGISTRY_UNAVAILABLE');
  });

  describe.each(['basic', 'bearer'] as const)('behind %s authentication', (kind) => {
    const auth = { kind, user: 'edge', password: 'pass:word' };
    let closed: RegistryProcess;
    let image: string;
    let pushed: Digest;
    beforeAll(async () => {
      closed = await startRegistry(registryTool ?? '', { auth });
      image = `${closed.host}/team/upper:v1`;
      pushed = await push(image, 'upper', auth);
    });
    afterAll(async () => {
      await closed[Symbol.asyncDispose]();
    });

    it('pulls with the credentials of a docker config', async () => {
      await using artifacts = await node(
        `${kind}-good`,
        await writeDockerConfig(`${kind}.json`, closed.host, auth),
      );
      expect((await pull(artifacts, image)).digest).toBe(pushed);
      await expectFiles(artifacts.folder(pushed), 'upper');
    });

    it('says that the credentials are wrong, and does not repeat them', async () => {
      const wrong = await writeDockerConfig(`${kind}-wrong.json`, closed.host, {
        ...auth,
        password: 'hunter2',
      });
      await using artifacts = await node(`${kind}-wrong`, wrong);
      const refused = pull(artifacts, image);
      await expect(refused).rejects.not.toThrow('hunter2');
      expect(await refusal(refused)).toBe('REGISTRY_DENIED');
    });

    it('lets a namespace use what another has fetched once its own credential was accepted', async () => {
      const good = await writeDockerConfig(`${kind}-two.json`, closed.host, auth);
      const wrong = await writeDockerConfig(`${kind}-two-wrong.json`, closed.host, {
        ...auth,
        password: 'guessed',
      });
      const configs = new Map([
        ['team-a', good],
        ['friend', good],
        ['team-b', wrong],
      ]);
      const paths: string[] = [];
      await using proxy = await startProxy(closed.host, (path) => {
        paths.push(path);
        return undefined;
      });
      for (const file of configs.values())
        await writeFile(file, (await readFile(file, 'utf8')).replace(closed.host, proxy.host));
      await using artifacts = await node(`${kind}-two`, (namespace) => configs.get(namespace));
      const shared = `${proxy.host}/team/upper:v1`;
      await pull(artifacts, shared, undefined, 'team-a');
      for (const namespace of ['team-b', 'nobody']) {
        expect(await refusal(pull(artifacts, shared, pushed, namespace))).toBe('REGISTRY_DENIED');
        expect(storedAs(artifacts, shared, pushed, namespace)).toBeUndefined();
      }
      paths.length = 0;
      expect((await pull(artifacts, shared, pushed, 'friend')).digest).toBe(pushed);
      expect(paths.filter((path) => path.includes('/blobs/'))).toEqual([]);
      await proxy[Symbol.asyncDispose]();
      expect((await pull(artifacts, shared, pushed, 'team-a')).digest).toBe(pushed);
      expect((await pull(artifacts, shared, pushed, 'friend')).digest).toBe(pushed);
    });

    it('says that there are no credentials', async () => {
      await using artifacts = await node(`${kind}-none`, join(root, 'no-such-config.json'));
      expect(await refusal(pull(artifacts, image))).toBe('REGISTRY_DENIED');
    });
  });
});
