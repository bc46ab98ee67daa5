import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../../src/api/names.ts';
import type { Descriptor } from '../../../src/artifact/manifest.ts';
import { AdaptletError } from '../../../src/errors/adaptlet-error.ts';
import { artifacts, type Name, weightsOf } from './artifacts.ts';
import { keyOf, never, type SmallNode, target } from './node.ts';

/** What was promised to last: said to be there, to be there with its signature, or to be gone, before the process ended. */
export type Promised = Map<Name, 'granted' | 'signed' | 'removed'>;

/** A signature, as far as a disk is concerned. */
export const bundle = 'a bundle';

type Step = (node: SmallNode, promised: Promised, data: string) => Promise<void>;

const acquire =
  (name: Name): Step =>
  async (node, promised) => {
    using _lease = await node.residency.acquire(keyOf(name), { signal: never });
    promised.set(name, 'granted');
  };

/** Adds one whose weights do not come as they should. */
const addBroken =
  (write: (node: SmallNode, blob: Descriptor, path: string) => Promise<void>): Step =>
  async (node) => {
    const [weights] = weightsOf('broken');
    const given = node.write;
    node.write = (blob, path) => (blob.digest === weights ? write(node, blob, path) : given(blob, path));
    try {
      await node.add('broken').catch((error: unknown) => {
        if (
          !(
            error instanceof AdaptletError &&
            ['REGISTRY_UNAVAILABLE', 'ARTIFACT_CORRUPT'].includes(error.code)
          )
        )
          throw error;
      });
    } finally {
      node.write = given;
    }
  };

const partOf = (node: SmallNode, { digest }: Descriptor): Uint8Array => node.bytesOf(digest).subarray(0, 50);

/**
 * Two bring one artifact at once, and the second one, which waits for long, is first. `fails`: what the second one is sent is wrong.
 */
const twice =
  (fails: boolean): Step =>
  async (node, promised) => {
    const { manifest, digest } = artifacts.twice;
    await node.store.remove(digest);
    const [weights] = weightsOf('twice');
    const slow = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const first = node.store.add(
      manifest,
      async (blob, path) => {
        if (blob.digest === weights) {
          begun.resolve();
          await slow.promise;
        }
        await node.write(blob, path);
      },
      never,
    );
    await Promise.race([begun.promise, first]);
    const second = node.store.add(manifest, node.write, never, {
      apart: {
        wait: (isLong) => {
          queueMicrotask(isLong);
          return () => undefined;
        },
        write: (blob, path) =>
          node.disk.writeBlob('copy.write', path, fails ? partOf(node, blob) : node.bytesOf(blob.digest)),
      },
      reserved: () => undefined,
      brought: () => undefined,
      found: () => Promise.resolve(),
      admit: () => node.grants.give(digest, { namespace: 'team', source: 'path:twice' }),
    });
    const ended = await Promise.allSettled([second.finally(() => slow.resolve()), first]);
    const failed = ended.find(({ status }) => status === 'rejected');
    const reason: unknown = failed?.status === 'rejected' ? failed.reason : undefined;
    const isMeant = fails && reason instanceof AdaptletError && reason.code === 'ARTIFACT_CORRUPT';
    if (reason !== undefined && !isMeant) throw reason;
    if (!fails) promised.set('twice', 'granted');
  };

/** A bit changes on the disk, and nobody touched it. */
const rot = async (data: string, digest: Digest): Promise<void> => {
  const blob = digest.slice('sha256:'.length);
  const path = join(data, 'store/blobs/sha256', blob.slice(0, 2), blob);
  const bytes = await readFile(path).catch(() => undefined);
  if (bytes === undefined) return;
  bytes.writeUInt8(bytes.readUInt8(3) ^ 1, 3);
  await writeFile(path, bytes);
};

/** The day of a node: each step is tried, whatever became of those before. */
export const day: readonly (readonly [what: string, step: Step])[] = [
  ['files come', acquire('fresh')],
  [
    'its signature is kept',
    async (node, promised) => {
      await node.bundles.keep(artifacts.fresh.digest, [Buffer.from(bundle)], []);
      if (promised.get('fresh') === 'granted') promised.set('fresh', 'signed');
    },
  ],
  [
    'what is small is begun',
    async (node) => {
      const [digest] = weightsOf('broken');
      await node.senders.begin({ digest, size: 100 }, 'path:broken');
      await node.senders.begin({ digest, size: 0 }, 'path:broken');
    },
  ],
  [
    'a file is needed for a moment',
    async (node) => {
      await using file = node.store.scratch(50, 'a moment');
      await node.disk.writeBlob('scratch.write', file.path, Buffer.alloc(50, 'x'));
    },
  ],
  ['files in a folder come', (node) => node.add('inner')],
  ['an archive comes', acquire('unpacked')],
  ['files come where there are no links', acquire('copied')],
  ['a copy that is wrong', twice(true)],
  ['a copy that is faster', twice(false)],
  [
    'a transfer breaks off',
    addBroken(async (node, blob, path) => {
      await node.disk.writeBlob('blob.write', path, partOf(node, blob));
      throw new AdaptletError('REGISTRY_UNAVAILABLE', 'it broke off');
    }),
  ],
  ['left-overs go', (node) => node.store.clearLeftovers()],
  [
    'other bytes come',
    addBroken((node, blob, path) => node.disk.writeBlob('blob.write', path, partOf(node, blob))),
  ],
  ['an archive is read again', (node) => node.store.verify(artifacts.packed.digest, never)],
  [
    'a blob rots, and is found',
    async (node, promised, data) => {
      promised.delete('rotten');
      await rot(data, weightsOf('rotten')[0]);
      await node.store.scrub(never);
    },
  ],
  [
    'an adapter leaves the plan',
    async (node, promised) => {
      promised.delete('gone');
      await node.bundles.drop(artifacts.gone.digest);
      await node.grants.drop(artifacts.gone.digest);
      await node.store.remove(artifacts.gone.digest);
      promised.set('gone', 'removed');
    },
  ],
  [
    'compiled files go',
    async (node) => {
      await node.compiled.dropTemporaries(artifacts.fresh.digest);
      await node.compiled.removeOrphans((digest) => node.store.stored(digest) !== undefined);
      await node.compiled.removeStale(target);
      await node.compiled.remove(artifacts.fresh.digest);
    },
  ],
];
