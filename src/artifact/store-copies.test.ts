import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { filesArtifact, writer } from './artifact.fixture.ts';
import type { WriteBlob } from './blob-pool.ts';
import { type DiskThread, startDiskThread } from './disk-thread.ts';
import { ContentStore } from './store.ts';
import type { Custody } from './store-options.ts';

const never = new AbortController().signal;
const artifact = (letter: string) =>
  filesArtifact({ 'adapter_config.json': '{"r":1}', 'adapter_model.safetensors': letter.repeat(1000) });
const [one, two] = [artifact('1'), artifact('2')];

let disk: DiskThread;
let root: string;
let store: ContentStore;
beforeAll(() => {
  disk = startDiskThread();
});
afterAll(() => disk[Symbol.asyncDispose]());
const open = async (budgetBytes: number): Promise<void> => {
  root = await mkdtemp(join(tmpdir(), 'adaptlet-copies-'));
  store = await ContentStore.open({ root, budgetBytes, disk });
};
beforeEach(() => open(100_000));
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

/** Who waits for nobody, and what was brought and found for him. */
const impatient = (write: WriteBlob, isLongAfterMs = 0) => {
  const seen = { brought: 0, found: 0, waits: 0 };
  const custody: Custody = {
    apart: {
      write,
      wait: (isLong) => {
        seen.waits += 1;
        const timer = setTimeout(isLong, isLongAfterMs);
        return () => clearTimeout(timer);
      },
    },
    reserved: () => undefined,
    brought: () => void (seen.brought += 1),
    found: async () => void (seen.found += 1),
    admit: async () => undefined,
  };
  return { custody, seen };
};

/** A source that sends what it has once it is let. */
const slow = (of: typeof one) => {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const write: WriteBlob = async (...blob) => {
    resolve();
    await gate.promise;
    await writer(of)(...blob);
  };
  return { asked, write, ...gate };
};

const usedBy = async (add: () => Promise<unknown>): Promise<number> => {
  const before = store.usage.usedBytes;
  await add();
  return store.usage.usedBytes - before;
};

describe('who waits for long for a blob that a slow source sends', () => {
  it('brings it from his own, and has it; the slow one holds up nobody', async () => {
    const source = slow(one);
    const held = store.add(one.manifest, source.write, never, impatient(source.write).custody);
    await source.asked;
    const { custody, seen } = impatient(writer(one));
    expect(await store.add(one.manifest, writer(one), never, custody)).toBe(one.digest);
    expect(seen).toMatchObject({ brought: 3, found: 0 });
    await store.verify(one.digest, never);
    expect(await store.scrub(never)).toEqual([]);
    await store.add(two.manifest, writer(two), never);
    source.reject(new Error('left'));
    await expect(held).rejects.toThrow('left');
    await store.remove(one.digest);
    expect(store.stored(one.digest)).toBeUndefined();
  });

  it('leaves one copy and its bytes, when the slow one has sent it as well', async () => {
    const source = slow(one);
    const first = impatient(source.write);
    const held = store.add(one.manifest, source.write, never, first.custody);
    await source.asked;
    const { custody } = impatient(writer(one));
    await store.add(one.manifest, writer(one), never, custody);
    source.resolve();
    expect(await held).toBe(one.digest);
    // The first blob was under way when it came; the others were there by then.
    expect(first.seen).toMatchObject({ brought: 1, found: 2 });
    const { usedBytes } = store.usage;
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
    await store.remove(one.digest);
    expect(store.usage.usedBytes).toBe(0);
    expect(await usedBy(() => store.add(one.manifest, writer(one), never))).toBe(usedBytes);
    expect(store.freeBytes).toBe(100_000 - usedBytes);
  });

  it('keeps nothing of a copy that is not what it should be, and goes on waiting no more', async () => {
    const source = slow(one);
    const held = store.add(one.manifest, source.write, never, impatient(source.write).custody);
    await source.asked;
    const { custody } = impatient(writer(two));
    await expect(store.add(one.manifest, writer(two), never, custody)).rejects.toThrow();
    const files = await readdir(join(root, 'tmp'));
    expect(files.filter((name) => name.endsWith('.copy'))).toEqual([]);
    source.resolve();
    expect(await held).toBe(one.digest);
    await store.remove(one.digest);
    expect([store.usage.usedBytes, store.freeBytes]).toEqual([0, 100_000]);
  });

  it('waits on where the disk has no room for a second copy', async () => {
    const needed = await usedBy(() => store.add(one.manifest, writer(one), never));
    await store[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true });
    await open(needed);
    const source = slow(one);
    const write: WriteBlob = (blob, ...to) => (blob.size === 1000 ? source.write : writer(one))(blob, ...to);
    const held = store.add(one.manifest, write, never, impatient(write).custody);
    await source.asked;
    expect(store.freeBytes).toBeLessThan(1000);
    const { custody, seen } = impatient(writer(one));
    const waiting = store.add(one.manifest, writer(one), never, custody);
    await expect.poll(() => seen).toEqual({ waits: 1, found: 2, brought: 0 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(store.stored(one.digest)).toBeUndefined();
    source.reject(new Error('left'));
    await expect(held).rejects.toThrow('left');
    expect(await waiting).toBe(one.digest);
    expect(seen.brought).toBe(1);
  });
});
