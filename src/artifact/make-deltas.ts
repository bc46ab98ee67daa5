import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdCompress } from 'node:zlib';
import type { Digest } from '../api/names.ts';
import { removeAll } from '../disk/durable.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { makeDelta } from './delta/make.ts';
import type { DeltaFile } from './delta-manifest.ts';
import { leastDeltaBytes } from './deltas.ts';
import { digestOf } from './digest.ts';
import type { DiskThread } from './disk-thread.ts';
import { layersOf } from './layers.ts';
import { defaultLimits, parseManifest } from './manifest.ts';

type File = { readonly digest: Digest; readonly size: number; readonly path: string };

/** An adapter whose files lie here. */
export type Version = {
  /** Of its manifest. */
  readonly digest: Digest;
  readonly size: number;
  /** By name; those that come in archives are none. */
  readonly files: ReadonlyMap<string, File>;
};

/** The version that a manifest and a folder with its files are. */
export const versionOf = (manifest: Uint8Array, folder: string): Version => ({
  digest: digestOf(manifest),
  size: manifest.length,
  files: new Map(
    layersOf(parseManifest(manifest, defaultLimits, folder), folder).flatMap((content) => {
      if (content.kind !== 'file') return [];
      const { digest, size } = content.layer;
      return [[content.name, { digest, size, path: join(folder, content.name) }] as const];
    }),
  ),
});

export type MadeDelta = DeltaFile & {
  /** Of the file that it makes, and the same compressed with zstd. */
  readonly wholeBytes: number;
  readonly zstdBytes: number;
  /** Milliseconds; those of making the file contain its check. */
  readonly makeMs: number;
  readonly applyMs: number;
};

/** A delta that has more than this of what it makes is not worth its room in the registry, nor the look of nodes. */
export const worthRatio = 0.7;

/** Pure. */
export const isWorth = (deltaBytes: number, wholeBytes: number): boolean =>
  deltaBytes <= worthRatio * wholeBytes;

/** Bytes that a file has when it is compressed by zstd at its own level; others gain 0.1 % of weights. */
const zstdBytesOf = async (path: string, signal: AbortSignal): Promise<number> => {
  let bytes = 0;
  const count = new Writable({
    write(chunk: Buffer, _, done) {
      bytes += chunk.length;
      done();
    },
  });
  await pipeline(createReadStream(path), createZstdCompress(), count, { signal });
  return bytes;
};

/**
 * Writes a delta for each weights file that changed between two versions into `folder`, makes the file out of it again, and compares.
 * Blocks this thread while it makes them.
 * @throws AdaptletError DELTA_REFUSED where no file of the two makes one
 */
export const makeDeltas = async (
  from: Version,
  to: Version,
  { folder, disk, signal, now }: { folder: string; disk: DiskThread; signal: AbortSignal; now: () => number },
): Promise<readonly MadeDelta[]> => {
  const had = new Set([...from.files.values()].map(({ digest }) => digest));
  const made: MadeDelta[] = [];
  for (const [name, next] of to.files) {
    const base = from.files.get(name);
    const isCandidate =
      name.endsWith('.safetensors') && next.size >= leastDeltaBytes && !had.has(next.digest);
    if (base === undefined || !isCandidate) continue;
    const path = join(folder, `${made.length}.delta`);
    const again = join(folder, `${made.length}.again`);
    const start = now();
    makeDelta({ from: base, to: next, target: path });
    const madeAt = now();
    const [fromFile, toFile] = [base, next].map(({ digest, size }) => ({ digest, size })) as [File, File];
    await disk.rebuild({ delta: path, base: base.path, target: again, from: fromFile, to: toFile }, signal);
    const appliedAt = now();
    await removeAll(again);
    made.push({
      ...(await disk.hash(path, signal)),
      path,
      name,
      from: base.digest,
      to: next.digest,
      wholeBytes: next.size,
      zstdBytes: await zstdBytesOf(next.path, signal),
      makeMs: madeAt - start,
      applyMs: appliedAt - madeAt,
    });
  }
  if (made.length > 0) return made;
  throw new AdaptletError(
    'DELTA_REFUSED',
    `no safetensors file of ${leastDeltaBytes} bytes or more has one name in both versions and other bytes`,
  );
};
