import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startDiskThread } from './disk-thread.ts';
import { ContentStore } from './store.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'adaptlet-store-kill-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const module = (name: string): string => JSON.stringify(fileURLToPath(new URL(name, import.meta.url)));

/** Adds and removes artifacts as fast as it can, and says when it begins. */
const busy = (): string => `
const { ContentStore } = await import(${module('store.ts')});
const { startDiskThread } = await import(${module('disk-thread.ts')});
const { filesArtifact, writer } = await import(${module('artifact.fixture.ts')});
const signal = new AbortController().signal;
const store = await ContentStore.open({ root: ${JSON.stringify(root)}, budgetBytes: 1e9, disk: startDiskThread() });
console.log('begin');
for (let i = store.list().length; ; i++) {
  const files = { 'adapter_config.json': '{}', 'adapter_model.safetensors': String(i).repeat(20000) };
  const artifact = filesArtifact(files);
  await store.add(artifact.manifest, writer(artifact), signal);
  if (i % 3 === 0) await store.remove(artifact.digest);
}`;

it('is whole after a kill at any moment: what it lists is sound, what it does not list is gone', async () => {
  await using disk = startDiskThread();
  const signal = new AbortController().signal;
  for (const afterFiles of [1, 40, 90]) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', busy()], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(child, 'exit');
    try {
      await once(child.stdout, 'data');
      // Files come and go without a sign: how many there are stands for a moment.
      const before = await countEntries();
      const deadline = performance.now() + 10_000;
      while ((await countEntries()) < before + afterFiles) expect(performance.now()).toBeLessThan(deadline);
    } finally {
      child.kill('SIGKILL');
      await exit;
    }

    await using store = await ContentStore.open({ root, budgetBytes: 1e9, disk });
    expect(store.damage).toEqual([]);
    expect(await store.scrub(signal)).toEqual([]);
    for (const digest of store.list()) expect((await readdir(store.folder(digest))).length).toBe(2);
    expect((await readdir(join(root, 'adapters'))).length).toBe(store.list().length);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
    const bytes = store.list().reduce((sum, digest) => sum + (store.stored(digest)?.bytes ?? 0), 0);
    // The configuration and the file '{}' are one blob, shared by all.
    expect(store.usage.usedBytes).toBe(bytes - 2 * Math.max(0, store.list().length - 1));
  }
});

const countEntries = async (): Promise<number> =>
  (await readdir(root, { recursive: true }).catch(() => [])).length;
