import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { artifactOf, type FixtureArtifact, filesArtifact, tarOf, writer } from './artifact.fixture.ts';
import { digestOf, hexOf } from './digest.ts';
import { type DiskThread, startDiskThread } from './disk-thread.ts';
import { ContentStore } from './store.ts';
import { ownerOfFolder } from './store-lock.ts';

const never = new AbortController().signal;
const weights = (letter: string) => letter.repeat(1000);
const one = filesArtifact({ 'adapter_config.json': '{"r":1}', 'adapter_model.safetensors': weights('1') });
const two = filesArtifact({ 'adapter_config.json': '{"r":1}', 'adapter_model.safetensors': weights('2') });
const bytesOfOne = 1000 + 7 + 2;

let disk: DiskThread;
let root: string;
let store: ContentStore;
beforeAll(() => {
  disk = startDiskThread();
});
afterAll(() => disk[Symbol.asyncDispose]());

const open = (budgetBytes = 100_000) => ContentStore.open({ root, budgetBytes, disk });
const reopen = async (budgetBytes?: number) => {
  await store[Symbol.asyncDispose]();
  store = await open(budgetBytes);
};
const add = (artifact: FixtureArtifact) => store.add(artifact.manifest, writer(artifact), never);
const blobPath = (digest: Digest) => join(root, 'blobs/sha256', hexOf(digest).slice(0, 2), hexOf(digest));
const weightsOf = (letter: string) => digestOf(Buffer.from(weights(letter)));

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'adaptlet-store-'));
  store = await open();
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

describe('adding and removing', () => {
  it('has the files under their own names, and the bytes that they take', async () => {
    expect(await add(one)).toBe(one.digest);
    const folder = store.folder(one.digest);
    expect((await readdir(folder)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
    expect(await readFile(join(folder, 'adapter_model.safetensors'), 'utf8')).toBe(weights('1'));
    expect(store.stored(one.digest)?.bytes).toBe(bytesOfOne);
    expect(store.usage.usedBytes).toBe(bytesOfOne);
  });

  it('keeps a shared blob once, until the last artifact that needs it goes', async () => {
    await add(one);
    await add(two);
    expect(store.usage.usedBytes).toBe(bytesOfOne + 1000);
    await store.remove(one.digest);
    expect(store.usage.usedBytes).toBe(bytesOfOne);
    expect(await readFile(join(store.folder(two.digest), 'adapter_config.json'), 'utf8')).toBe('{"r":1}');
    await store.remove(two.digest);
    expect(store.usage.usedBytes).toBe(0);
    expect(await codeOf(() => store.folder(two.digest))).toBe('ARTIFACT_NOT_STORED');
  });

  it('adds an artifact once that is asked for several times at once', async () => {
    const digests = await Promise.all(Array.from({ length: 8 }, () => add(one)));
    expect(new Set(digests)).toEqual(new Set([one.digest]));
    expect(store.usage.usedBytes).toBe(bytesOfOne);
    await Promise.all([store.remove(one.digest), store.remove(one.digest), add(two)]);
    expect(store.list()).toEqual([two.digest]);
  });

  it('writes a blob once when two artifacts that share it come at once', async () => {
    const written: Digest[] = [];
    const counting = (artifact: FixtureArtifact) =>
      store.add(
        artifact.manifest,
        (blob, path, have) => {
          written.push(blob.digest);
          return writer(artifact)(blob, path, have);
        },
        never,
      );
    await Promise.all([counting(one), counting(two)]);
    expect(written).toHaveLength(new Set(written).size);
    expect(store.list()).toHaveLength(2);
  });

  it('does not keep bytes that have another digest', async () => {
    const lie = store.add(one.manifest, (_, path) => writeFile(path, weights('x')), never);
    expect(await codeOf(() => lie)).toBe('ARTIFACT_CORRUPT');
    expect(store.stored(one.digest)).toBeUndefined();
    expect(store.usage.usedBytes).toBe(0);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('goes on with a blob that broke off', async () => {
    const haves: number[] = [];
    const broken = store.add(
      one.manifest,
      async (_, path) => {
        await writeFile(path, one.blobs.get(weightsOf('1'))!.subarray(0, 0)); // nothing yet
        throw new AdaptletError('REGISTRY_UNAVAILABLE', 'gone');
      },
      never,
    );
    expect(await codeOf(() => broken)).toBe('REGISTRY_UNAVAILABLE');
    const half = store.add(
      one.manifest,
      async (blob, path, have) => {
        if (blob.size < 1000) return await writer(one)(blob, path, have);
        await writeFile(path, weights('1').slice(0, 400));
        throw new AdaptletError('REGISTRY_UNAVAILABLE', 'gone');
      },
      never,
    );
    expect(await codeOf(() => half)).toBe('REGISTRY_UNAVAILABLE');
    expect(store.usage.usedBytes).toBe(9 + 400);
    await store.add(
      one.manifest,
      async (_, path, have) => {
        haves.push(have);
        await appendFile(path, weights('1').slice(have));
      },
      never,
    );
    expect(haves).toEqual([400]);
    expect(store.usage.usedBytes).toBe(bytesOfOne);
  });
});

describe('the budget', () => {
  it('refuses what does not fit, with the numbers, and keeps what is there', async () => {
    await reopen(1500);
    await add(one);
    await expect(add(two)).rejects.toThrow(/needs 1000 bytes, 491 of the budget of 1500/);
    expect(await codeOf(() => add(two))).toBe('STORE_FULL');
    expect(store.list()).toEqual([one.digest]);
    await store.remove(one.digest);
    expect(await add(two)).toBe(two.digest);
  });

  it('counts what is on its way', async () => {
    await reopen(2000);
    const { promise: gate, resolve: proceed } = Promise.withResolvers<void>();
    const slow = store.add(
      one.manifest,
      async (blob, path, have) => {
        await gate;
        await writer(one)(blob, path, have);
      },
      never,
    );
    expect(await codeOf(() => add(two))).toBe('STORE_FULL');
    proceed();
    expect(await slow).toBe(one.digest);
  });

  it('takes back what transfers left behind', async () => {
    await reopen(1500);
    const half = store.add(
      one.manifest,
      async (blob, path, have) => {
        if (blob.size < 1000) return await writer(one)(blob, path, have);
        await writeFile(path, weights('1').slice(0, 600));
        throw new AdaptletError('REGISTRY_UNAVAILABLE', 'gone');
      },
      never,
    );
    expect(await codeOf(() => half)).toBe('REGISTRY_UNAVAILABLE');
    expect(await add(two)).toBe(two.digest);
    expect(store.usage.usedBytes).toBe(bytesOfOne);
  });

  it('stays consistent when the disk is full', async () => {
    await add(two);
    const full = store.add(
      one.manifest,
      async (_, path) => {
        await writeFile(path, 'half');
        throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
      },
      never,
    );
    expect(await codeOf(() => full)).toBe('STORE_FULL');
    expect(store.list()).toEqual([two.digest]);
    expect(store.usage.usedBytes).toBe(bytesOfOne);
    expect(await add(one)).toBe(one.digest);
  });
});

describe('after a restart', () => {
  it('has what it had, and nothing of what was on its way', async () => {
    await add(one);
    await writeFile(join(root, 'tmp', 'left'), 'half');
    await mkdir(join(root, 'blobs/sha256/ab'), { recursive: true });
    await writeFile(join(root, 'blobs/sha256/ab', `ab${'0'.repeat(62)}`), 'orphan');
    await reopen();
    expect(store.list()).toEqual([one.digest]);
    expect(store.usage.usedBytes).toBe(bytesOfOne);
    expect(store.damage).toEqual([]);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
    expect(await readFile(join(store.folder(one.digest), 'adapter_model.safetensors'), 'utf8')).toBe(
      weights('1'),
    );
  });

  it.each<[string, () => Promise<void>]>([
    ['a blob of another size', () => truncate(blobPath(weightsOf('1')), 10)],
    ['a blob that is gone', () => rm(blobPath(weightsOf('1')))],
    ['a file that is gone', () => rm(join(root, 'adapters', hexOf(one.digest), 'files/adapter_config.json'))],
    [
      'a manifest that is damaged',
      () => appendFile(join(root, 'adapters', hexOf(one.digest), 'manifest.json'), ' '),
    ],
    ['a manifest that is gone', () => rm(join(root, 'adapters', hexOf(one.digest), 'manifest.json'))],
  ])('takes out an artifact with %s, says so, and takes it again', async (_, damage) => {
    await add(one);
    await add(two);
    await damage();
    await reopen();
    expect(store.list()).toEqual([two.digest]);
    expect(store.damage.map((d) => d.digest)).toEqual([one.digest]);
    expect(await add(one)).toBe(one.digest);
    expect(await readFile(join(store.folder(one.digest), 'adapter_model.safetensors'), 'utf8')).toBe(
      weights('1'),
    );
  });
});

const flip = async () => {
  const bytes = await readFile(blobPath(weightsOf('1')));
  bytes.writeUInt8(bytes.readUInt8(5) ^ 1, 5);
  await writeFile(blobPath(weightsOf('1')), bytes);
};

describe('damage on the disk', () => {
  it('is found by a scrub, which takes out the artifact and keeps the blob for a look', async () => {
    await add(one);
    await add(two);
    expect(await store.scrub(never)).toEqual([]);
    await flip();
    expect((await store.scrub(never)).map((d) => d.digest)).toEqual([one.digest]);
    expect(store.list()).toEqual([two.digest]);
    expect(await readdir(join(root, 'quarantine'))).toEqual([hexOf(weightsOf('1'))]);
    expect(await add(one)).toBe(one.digest);
    expect(await store.scrub(never)).toEqual([]);
  });

  it('is repaired by a fetch while a scrub runs, whichever comes first', async () => {
    for (let round = 0; round < 20; round++) {
      await add(one);
      await flip();
      const scrubbing = store.scrub(never);
      await store.quarantine(one.digest, never);
      await add(one);
      await scrubbing;
      await add(one);
      await store.verify(one.digest, never);
    }
  });

  it('is found when an artifact is about to be used', async () => {
    await add(one);
    await store.verify(one.digest, never);
    await flip();
    expect(await codeOf(() => store.verify(one.digest, never))).toBe('ARTIFACT_CORRUPT');
    expect(await codeOf(() => store.verify(two.digest, never))).toBe('ARTIFACT_NOT_STORED');
  });

  it('of unpacked files is undone: they are unpacked again before they are used', async () => {
    const tar = tarOf([
      { name: 'adapter_config.json', content: '{"r":1}' },
      { name: 'adapter_model.safetensors', content: weights('1') },
    ]);
    const packed = artifactOf([{ mediaType: 'application/vnd.oci.image.layer.v1.tar', bytes: tar }]);
    await add(packed);
    const file = join(store.folder(packed.digest), 'adapter_model.safetensors');
    await writeFile(file, weights('9'));
    await store.verify(packed.digest, never);
    expect(await readFile(file, 'utf8')).toBe(weights('1'));
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('is set aside by quarantine, sound blobs are not', async () => {
    await add(one);
    await add(two);
    await flip();
    await store.quarantine(one.digest, never);
    expect(store.list()).toEqual([two.digest]);
    expect(await readdir(join(root, 'quarantine'))).toEqual([hexOf(weightsOf('1'))]);
    expect(await readFile(join(store.folder(two.digest), 'adapter_config.json'), 'utf8')).toBe('{"r":1}');
    await reopen();
    expect(store.usage.usedBytes).toBe(bytesOfOne + 1000);
  });

  it('keeps only some of it', async () => {
    for (const letter of 'abcdef') {
      const artifact = filesArtifact({ 'adapter_config.json': letter });
      await add(artifact);
      await writeFile(blobPath(digestOf(Buffer.from(letter))), '!');
      await store.quarantine(artifact.digest, never);
    }
    expect((await readdir(join(root, 'quarantine'))).length).toBeLessThanOrEqual(4);
  });
});

describe('the lock', () => {
  it('lets one owner in, and the next one once it has gone', async () => {
    expect(await codeOf(() => open())).toBe('STORE_LOCKED');
    await reopen();
    expect(await codeOf(() => open())).toBe('STORE_LOCKED');
  });

  it('is taken over from a process that was killed', async () => {
    await store[Symbol.asyncDispose]();
    const lock = fileURLToPath(new URL('store-lock.ts', import.meta.url));
    const script = `const { lockFolder } = await import(${JSON.stringify(lock)}); await lockFolder(${JSON.stringify(root)}); console.log('locked'); setInterval(() => {}, 1000);`;
    const other = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(other.stdout, 'data');
    const refused: unknown = await open().catch((error: unknown) => error);
    expect(String(refused)).toContain(`process ${other.pid}`);
    expect(await ownerOfFolder(root)).toBe(String(other.pid));
    other.kill('SIGKILL');
    await once(other, 'exit');
    expect(await ownerOfFolder(root)).toBeUndefined();
    store = await open();
    expect((await readdir(root)).filter((name) => name.startsWith('lock.'))).toHaveLength(1);
  });

  it('is given to exactly one of many that start at once', async () => {
    await store[Symbol.asyncDispose]();
    await writeFile(join(root, 'lock'), '');
    await rm(join(root, 'lock'));
    const outcomes = await Promise.allSettled([open(), open(), open(), open()]);
    const owners = outcomes.flatMap((o) => (o.status === 'fulfilled' ? [o.value] : []));
    expect(owners).toHaveLength(1);
    store = owners[0] ?? store;
  });
});
