import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause, setImmediate as tick } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { nodeFiles } from '../disk/files.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import {
  artifactOf,
  type FixtureArtifact,
  filesArtifact,
  tarOf,
  withSize,
  writer,
} from './artifact.fixture.ts';
import type { WriteBlob } from './blob-pool.ts';
import { digestOf, hexOf } from './digest.ts';
import { type DiskThread, startDiskThread } from './disk-thread.ts';
import { ContentStore } from './store.ts';

const never = new AbortController().signal;
const artifact = (letter: string) =>
  filesArtifact({ 'adapter_config.json': '{"r":1}', 'adapter_model.safetensors': letter.repeat(1000) });
const weightsOf = (letter: string) => digestOf(Buffer.from(letter.repeat(1000)));
const [one, two] = [artifact('1'), artifact('2')];

let disk: DiskThread;
let root: string;
let store: ContentStore;
beforeAll(() => {
  disk = startDiskThread();
});
afterAll(() => disk[Symbol.asyncDispose]());
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'adaptlet-turns-'));
  store = await ContentStore.open({ root, budgetBytes: 100_000, disk });
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

const add = (what: FixtureArtifact) => store.add(what.manifest, writer(what), never);

/** A source that never ends what it sends; `asked` resolves once it is asked for something. */
const endless = () => {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const { promise, reject } = Promise.withResolvers<void>();
  const write: WriteBlob = async () => {
    resolve();
    await promise;
  };
  return { asked, write, end: () => reject(new Error('left')) };
};

const flip = async (letter: string) => {
  const hex = hexOf(weightsOf(letter));
  const path = join(root, 'blobs/sha256', hex.slice(0, 2), hex);
  const bytes = await readFile(path);
  bytes.writeUInt8(bytes.readUInt8(5) ^ 1, 5);
  await writeFile(path, bytes);
};

describe('a manifest that gives a blob that is here another size', () => {
  it('is refused, and nothing of that blob is written', async () => {
    await add(one);
    const liar = withSize(one, weightsOf('1'), 50_000);
    const { write } = endless();
    expect(await codeOf(() => store.add(liar.manifest, write, never))).toBe('ARTIFACT_CORRUPT');
    expect(await store.scrub(never)).toEqual([]);
    expect(await add(two)).toBe(two.digest);
  });

  it('is refused also when the blob came while it waited', async () => {
    const liar = withSize(one, weightsOf('1'), 50_000);
    const { promise: gate, resolve: proceed } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begins } = Promise.withResolvers<void>();
    const honest = store.add(
      one.manifest,
      async (blob, path, have) => {
        begins();
        await gate;
        await writer(one)(blob, path, have);
      },
      never,
    );
    // The lie must not come first.
    await begun;
    const lie = codeOf(() => store.add(liar.manifest, endless().write, never));
    proceed();
    expect(await lie).toBe('ARTIFACT_CORRUPT');
    expect(await honest).toBe(one.digest);
  });
});

describe('a source that never ends what it sends', () => {
  it('leaves no room to a manifest that says that the same blob is larger', async () => {
    const slow = endless();
    const held = store.add(one.manifest, slow.write, never);
    await slow.asked;
    const free = store.freeBytes;
    const liar = withSize(one, weightsOf('1'), 200_000);
    const soon = AbortSignal.timeout(2000);
    expect(await codeOf(() => store.add(liar.manifest, endless().write, soon))).toBe('STORE_FULL');
    expect(store.freeBytes).toBe(free);
    const larger = withSize(one, weightsOf('1'), 50_000);
    const leave = new AbortController();
    const waiting = store.add(larger.manifest, endless().write, leave.signal);
    while (store.freeBytes === free) await tick();
    expect(store.freeBytes).toBeLessThanOrEqual(free - 49_000);
    leave.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
    slow.end();
    await expect(held).rejects.toThrow('left');
    await store.clearLeftovers();
    expect(store.freeBytes).toBe(100_000);
  });

  it('keeps nobody who leaves, and nothing of what they had', async () => {
    const slow = endless();
    const held = store.add(one.manifest, slow.write, never);
    await slow.asked;
    const leave = new AbortController();
    const free = store.freeBytes;
    const waiting = store.add(two.manifest, writer(two), leave.signal);
    while (store.freeBytes === free) await tick();
    leave.abort(new Error('not wanted any more'));
    await expect(waiting).rejects.toThrow('not wanted any more');
    expect(store.freeBytes).toBe(free);
    await store.remove(two.digest);
    slow.end();
    await expect(held).rejects.toThrow('left');
    expect(await add(two)).toBe(two.digest);
  });
});

describe('a transfer that broke off', () => {
  it('gives way to what a layer unpacks to', async () => {
    const torn: WriteBlob = async (blob, path, have) => {
      if (blob.digest !== weightsOf('1')) return writer(one)(blob, path, have);
      await writeFile(path, '1'.repeat(50_000));
      throw new Error('torn');
    };
    await expect(store.add(one.manifest, torn, never)).rejects.toThrow('torn');
    expect(store.usage.usedBytes).toBeGreaterThan(50_000);
    const archive = tarOf([
      { name: 'adapter_config.json', content: '{"r":1}' },
      { name: 'adapter_model.safetensors', content: 'w'.repeat(30_000) },
    ]);
    const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar', bytes: archive };
    const packed = artifactOf([layer]);
    expect(await add(packed)).toBe(packed.digest);
    expect(store.usage.usedBytes).toBe(2 + archive.length + 7 + 30_000);
  });

  it('is dropped before, or not at all, when it is gone on with at the same time', async () => {
    await store[Symbol.asyncDispose]();
    const { promise: gate, resolve: proceed } = Promise.withResolvers<void>();
    const { promise: dropped, resolve: drops } = Promise.withResolvers<void>();
    const slow: typeof nodeFiles = {
      ...nodeFiles,
      remove: async (at, path) => {
        if (at === 'leftover.drop-partial') {
          drops();
          await gate;
        }
        await nodeFiles.remove(at, path);
      },
    };
    store = await ContentStore.open({ root, budgetBytes: 100_000, disk, files: slow });
    const torn: WriteBlob = async (_, path) => {
      await writeFile(path, '1');
      throw new Error('torn');
    };
    await expect(store.add(one.manifest, torn, never)).rejects.toThrow('torn');
    const dropping = store.dropUnfinished(() => false);
    await dropped;
    const { promise: written, resolve: writes } = Promise.withResolvers<void>();
    const write: WriteBlob = async (blob, path, have) => {
      await writer(one)(blob, path, have);
      writes();
      await dropping;
    };
    const adding = store.add(one.manifest, write, never);
    await Promise.race([written, pause(100)]);
    proceed();
    await dropping;
    expect(await adding).toBe(one.digest);
    await store.verify(one.digest, never);
  });
});

describe('an artifact that is taken out and added at the same time', () => {
  it('is there again at the end, and so is what comes after', async () => {
    for (let round = 0; round < 5; round++) {
      await add(one);
      await flip('1');
      const out = store.quarantine(one.digest, never);
      while (store.stored(one.digest) !== undefined) await tick();
      await Promise.all([out, add(one)]);
      await store.verify(one.digest, never);
    }
    expect(await add(two)).toBe(two.digest);
  });
});
