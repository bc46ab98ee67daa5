import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { startDiskThread } from './disk-thread.ts';
import { ContentStore } from './store.ts';

const module = (name: string): string => JSON.stringify(fileURLToPath(new URL(name, import.meta.url)));

/** Makes a version out of a delta and removes it, for ever; says where it lies. */
const busy = `
const { SharedNode } = await import(${module('shared-node.fixture.ts')});
const { startDiskThread } = await import(${module('disk-thread.ts')});
const { offerDelta, versionWith } = await import(${module('delta.fixture.ts')});
const { trainedFrom, weightsOf } = await import(${module('delta/weights.fixture.ts')});
const node = await SharedNode.start(startDiskThread(), 1e9);
const v1 = versionWith(weightsOf(1, 8 << 20));
const v2 = versionWith(trainedFrom(Buffer.from(v1.weights), 2));
for (const version of [v1, v2]) node.registry.put('team-a/sql', version);
await offerDelta(node.registry, 'team-a/sql', [v1, v2]);
await node.fetch('a', 'team-a/sql', v1.digest);
console.log(node.root);
for (;;) {
  await node.fetch('a', 'team-a/sql', v2.digest);
  if (node.outcomes.at(-1).result !== 'applied') throw new Error(node.outcomes.at(-1).result);
  await node.artifacts.remove(v2.digest);
}`;

/** Bytes of the file that is being made out of a delta. */
const madeBytes = async (tmp: string): Promise<number> => {
  const sizes = (await readdir(tmp)).map(async (name) => {
    const isMade = name.endsWith('.scratch') && Number.parseInt(name, 10) % 2 === 0;
    return isMade ? ((await stat(join(tmp, name)).catch(() => undefined))?.size ?? 0) : 0;
  });
  return Math.max(0, ...(await Promise.all(sizes)));
};

it('a node that is killed while it makes a file out of a delta has a sound store, and nothing of that file', async () => {
  await using disk = startDiskThread();
  const signal = new AbortController().signal;
  for (const bytes of [1, 4 << 20]) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', busy], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exit = once(child, 'exit');
    let root = '';
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        root = line;
        break;
      }
      const deadline = performance.now() + 30_000;
      while ((await madeBytes(join(root, 'store/tmp'))) < bytes) {
        expect(performance.now()).toBeLessThan(deadline);
        expect(child.exitCode).toBeNull();
        await setImmediate();
      }
    } finally {
      child.kill('SIGKILL');
      await exit;
    }
    {
      await using store = await ContentStore.open({ root: join(root, 'store'), budgetBytes: 1e9, disk });
      expect(store.damage).toEqual([]);
      expect(await store.scrub(signal)).toEqual([]);
      expect(await readdir(join(root, 'store/tmp'))).toEqual([]);
      const whole = store.list().map((digest) => store.stored(digest)?.bytes ?? 0);
      expect(store.list().length).toBeGreaterThan(0);
      expect(store.usage.usedBytes).toBeLessThanOrEqual(whole.reduce((sum, size) => sum + size, 0));
    }
    await rm(root, { recursive: true, force: true });
  }
});
