import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { digestOf } from '../../../src/artifact/digest.ts';
import { blobsOf, parseManifest } from '../../../src/artifact/manifest.ts';
import { artifacts, nameOf, names } from './artifacts.ts';
import { bundle, type Promised } from './day.ts';
import { claimOf, never, type SmallNode } from './node.ts';

/** Bytes of the files below a folder; names of one file count once, and manifests not at all. */
const bytesBelow = (folder: string, seen: Set<number>): number => {
  let bytes = 0;
  if (!existsSync(folder)) return 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || (entry.name === 'manifest.json' && folder.endsWith('adapters'))) continue;
    const { ino, size } = statSync(join(entry.parentPath, entry.name));
    if (!seen.has(ino)) bytes += size;
    seen.add(ino);
  }
  return bytes;
};

/** What the budget has to say: blobs, what is no second name of one, parts of blobs, the quarantine, compiled files. */
export const bytesOnDisk = (data: string): number => {
  const seen = new Set<number>();
  return ['store/blobs', 'store/quarantine', 'store/tmp', 'store/adapters', 'compiled'].reduce(
    (sum, folder) => sum + bytesBelow(join(data, folder), seen),
    0,
  );
};

/** Everything that the store lists is as its digest says, once it was checked. */
export const expectSound = async (node: SmallNode, data: string): Promise<void> => {
  await node.store.scrub(never);
  for (const digest of node.store.list()) {
    const name = nameOf.get(digest);
    if (name === undefined) throw new Error(`${digest} is none of ours`);
    await node.store.verify(digest, never).catch(() => node.store.quarantine(digest, never));
    if (node.store.stored(digest) === undefined) continue;
    const { manifest } = artifacts[name];
    for (const { digest: blob } of blobsOf(parseManifest(manifest, node.store.limits, name))) {
      const hex = blob.slice('sha256:'.length);
      const path = join(data, 'store/blobs/sha256', hex.slice(0, 2), hex);
      expect(digestOf(readFileSync(path)), `${name}: a blob`).toBe(blob);
    }
    const folder = node.store.folder(digest);
    expect(readdirSync(folder), name).toContain('adapter_config.json');
  }
};

/** What was said to last is there, granted and with its signature; what was said to be gone is. */
export const expectKept = async (node: SmallNode, promised: Promised): Promise<void> => {
  for (const [name, what] of promised) {
    const { digest } = artifacts[name];
    const isThere = node.store.stored(digest) !== undefined && node.grants.has(digest, claimOf(name));
    expect(isThere, `${name} was ${what}`).toBe(what !== 'removed');
    if (what === 'signed') expect((await node.bundles.of(digest)).map(String), name).toContain(bundle);
  }
};

/** Everything can come. */
export const expectWorks = async (node: SmallNode): Promise<void> => {
  for (const name of names) await node.add(name);
  for (const name of names) await node.store.verify(artifacts[name].digest, never);
};
