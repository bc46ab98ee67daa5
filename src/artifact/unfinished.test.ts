import { appendFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { filesArtifact, writer } from './artifact.fixture.ts';
import { digestOf, hexOf } from './digest.ts';
import { diskOfTests } from './disk-thread.fixture.ts';
import { ContentStore } from './store.ts';

const never = new AbortController().signal;
const weights = (letter: string) => letter.repeat(1000);
const one = filesArtifact({ 'adapter_config.json': '{"r":1}', 'adapter_model.safetensors': weights('1') });
const two = filesArtifact({ 'adapter_config.json': '{"r":1}', 'adapter_model.safetensors': weights('2') });
const bytesOfOne = 1000 + 7 + 2;
const partOfWeights = `${hexOf(digestOf(Buffer.from(weights('1'))))}.part`;

const disk = diskOfTests();
let root: string;
let store: ContentStore;
beforeEach(async () => {
  root = folderOfTest();
  store = await ContentStore.open({ root, budgetBytes: 100_000, disk });
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
});

describe('a store that keeps what was unfinished', () => {
  const reopen = async (budgetBytes = 100_000, keepsUnfinished = true) => {
    await store[Symbol.asyncDispose]();
    store = await ContentStore.open({ root, budgetBytes, disk, keepsUnfinished });
  };
  /** Writes the configuration, and the first half of the weights. */
  const breakOff = async () => {
    const broken = store.add(
      one.manifest,
      async (blob, path) => {
        const bytes = one.blobs.get(blob.digest) ?? Buffer.alloc(0);
        await writeFile(path, blob.size < 1000 ? bytes : bytes.subarray(0, 500));
        if (blob.size === 1000) throw new AdaptletError('REGISTRY_UNAVAILABLE', 'it broke off');
      },
      never,
    );
    await expect(broken).rejects.toThrow('it broke off');
  };

  it('goes on in the next process with whole blobs and with half of one, and counts both', async () => {
    await breakOff();
    await reopen();
    expect(store.usage.usedBytes).toBe(500 + 7 + 2);
    const asked: (readonly [number, number])[] = [];
    await store.add(
      one.manifest,
      async (blob, path, have) => {
        asked.push([blob.size, have]);
        await appendFile(path, (one.blobs.get(blob.digest) ?? Buffer.alloc(0)).subarray(have));
      },
      never,
    );
    expect(asked).toEqual([[1000, 500]]);
    expect(store.usage.usedBytes).toBe(bytesOfOne);
  });

  it('finds out a part with other bytes, and begins that blob again', async () => {
    await breakOff();
    await writeFile(join(root, 'tmp', partOfWeights), 'x'.repeat(500));
    await reopen();
    const rest = (): Promise<Digest> =>
      store.add(
        one.manifest,
        async (blob, path, have) => {
          await appendFile(path, (one.blobs.get(blob.digest) ?? Buffer.alloc(0)).subarray(have));
        },
        never,
      );
    await expect(rest()).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
    expect(await rest()).toBe(one.digest);
  });

  it('gives that room to another artifact when the budget is short, or when it is told to', async () => {
    await breakOff();
    await reopen(1100);
    await store.add(two.manifest, writer(two), never);
    expect(store.usage.usedBytes).toBe(bytesOfOne);
    await store.remove(two.digest);
    await breakOff();
    await store.clearLeftovers();
    expect(store.usage.usedBytes).toBe(0);
  });

  it('drops what nobody goes on with, and keeps the rest', async () => {
    await breakOff();
    await reopen();
    await store.dropUnfinished((blob) => blob === digestOf(Buffer.from(weights('1'))));
    expect(store.usage.usedBytes).toBe(500);
    await store.dropUnfinished(() => false);
    expect(store.usage.usedBytes).toBe(0);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('keeps nothing where it does not say so', async () => {
    await breakOff();
    await reopen(100_000, false);
    expect(store.usage.usedBytes).toBe(0);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });
});
