import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { type Digest, objectKey } from '../../../src/api/names.ts';
import { blobsOf, parseManifest } from '../../../src/artifact/manifest.ts';
import { errorCodeOf } from '../../../src/errors/adaptlet-error.ts';
import { adapterResource } from '../../../src/plan/resources.fixture.ts';
import { versioned } from '../../../src/plan/resources.ts';
import { artifacts, type Name } from './artifacts.ts';
import { FaultyDisk } from './faulty-disk.ts';
import { never, SmallNode } from './node.ts';
import { bytesOnDisk } from './sound.ts';

/** Two share what they have, one has a limit and others than they. */
const adapters: readonly (readonly [owner: string, name: Name])[] = [
  ['team', 'ram'],
  ['team', 'packed'],
  ['team', 'fresh'],
  ['other', 'packed'],
  ['other', 'fresh'],
  ['other', 'inner'],
  ['small', 'unpacked'],
  ['small', 'copied'],
  ['small', 'twice'],
  ['small', 'broken'],
];
const resources = adapters.map(([owner, name]) =>
  versioned(
    adapterResource(objectKey(owner, name), {
      uid: `${owner}-${name}`,
      source: { path: { path: name } },
      digest: artifacts[name].digest,
    }),
  ),
);
const owners = ['team', 'other', 'small'];
/** Room for its archive and a compiled file as large, and for one of the others beside it. */
const limit = 12_500;
/** What it has for a moment beyond that: how much is in an archive is known once it is unpacked, and its compiled file may be as large. */
const beyond = 2 * 1_000;
const diskShare = (owner: string) => ({ guarantee: 0, limit: owner === 'small' ? limit : Infinity });

const below = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(join(entry.parentPath, entry.name)));

/** What lies in the folders because of an artifact: its blobs, what is unpacked of them, its compiled files. */
const bytesFor = (data: string, hex: string, { store }: SmallNode): number => {
  const folder = join(data, 'store/adapters', hex);
  const manifest = parseManifest(readFileSync(join(folder, 'manifest.json')), store.limits, hex);
  const blobs = new Set(blobsOf(manifest).map(({ digest }) => digest.slice('sha256:'.length)));
  const stats = [...blobs].map((blob) => statSync(join(data, 'store/blobs/sha256', blob.slice(0, 2), blob)));
  const seen = new Set(stats.map(({ ino }) => ino));
  const unpacked = below(join(folder, 'files')).filter(({ ino }) => !seen.has(ino));
  const compiled = readdirSync(join(data, 'compiled')).filter((name) => name.startsWith(`${hex}-`));
  return [...stats, ...unpacked, ...compiled.map((name) => statSync(join(data, 'compiled', name)))].reduce(
    (sum, { size }) => sum + size,
    0,
  );
};

const walk = (data: string, node: SmallNode): Readonly<Record<string, number>> => {
  const sums = new Map(owners.map((owner) => [owner, 0]));
  for (const hex of readdirSync(join(data, 'store/adapters')))
    for (const owner of node.grants.ownersOf(`sha256:${hex}` as Digest))
      sums.set(owner, (sums.get(owner) ?? 0) + bytesFor(data, hex, node));
  return Object.fromEntries(sums);
};

const counted = ({ residency }: SmallNode): Readonly<Record<string, number>> =>
  Object.fromEntries(owners.map((owner) => [owner, residency.diskUsedBy(owner)]));

const which = fc.nat(adapters.length - 1);
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ use: fc.uniqueArray(which, { minLength: 1, maxLength: 4 }) }) },
    { weight: 2, arbitrary: fc.record({ plan: fc.uniqueArray(which) }) },
    { weight: 1, arbitrary: fc.constant({ restart: true }) },
    { weight: 1, arbitrary: fc.record({ uncompile: which }) },
  ),
  { minLength: 1, maxLength: 25 },
);

/** Where nobody planned it, or its namespace has no room for it, nothing comes. */
const use = async ({ residency }: SmallNode, i: number): Promise<void> => {
  const [owner, name] = adapters[i] ?? ['team', 'ram'];
  try {
    using _lease = await residency.acquire(objectKey(owner, name), { signal: never });
  } catch (error) {
    if (!['MODEL_NOT_FOUND', 'NAMESPACE_ADAPTER_DISK'].includes(errorCodeOf(error))) throw error;
  }
};

it('what a namespace is counted is what a walk over the folders finds for it, and never beyond its limit', async () => {
  let reached = 0;
  let cameUnpacked = false;
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const root = await mkdtemp(join(tmpdir(), 'adaptlet-counted-'));
      const data = join(root, 'data');
      await mkdir(data);
      const open = async () => {
        const disk = new FaultyDisk(await mkdtemp(join(root, 'graveyard-')));
        return await SmallNode.open(data, disk, { diskShare });
      };
      let planned = adapters.map((_, i) => i);
      let most = 0;
      const start = async () => {
        const opened = await open();
        opened.residency.onTransition(() => {
          most = Math.max(most, opened.residency.diskUsedBy('small'));
        });
        return opened;
      };
      let node = await start();
      const apply = () => node.residency.apply(planned.flatMap((i) => resources[i] ?? []));
      apply();
      try {
        for (const step of all) {
          if ('use' in step) {
            await Promise.all(step.use.map((i) => use(node, i)));
          } else if ('plan' in step) {
            planned = step.plan;
            apply();
          } else if ('uncompile' in step) {
            await node.compiled.remove(artifacts[adapters[step.uncompile]?.[1] ?? 'ram'].digest);
          } else {
            await node.close();
            node = await start();
            apply();
          }
          await vi.waitFor(
            () => {
              expect(counted(node)).toEqual(walk(data, node));
              expect(node.store.budget.used).toBe(bytesOnDisk(data));
            },
            { timeout: 20_000 },
          );
          expect(counted(node)['small']).toBeLessThanOrEqual(limit);
          expect(most).toBeLessThanOrEqual(limit + beyond);
          cameUnpacked ||= node.grants.ownersOf(artifacts.unpacked.digest).has('small');
          reached = Math.max(reached, most);
        }
      } finally {
        await node.close();
        await rm(root, { recursive: true });
      }
    }),
    { numRuns: 25 },
  );
  expect(reached).toBeGreaterThan(limit / 2);
  expect(cameUnpacked).toBe(true);
}, 120_000);
