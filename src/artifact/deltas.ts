import { rename } from 'node:fs/promises';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { isDiskFull } from '../errors/errno.ts';
import type { Clock } from '../time/clock.ts';
import type { WriteBlob } from './blob-pool.ts';
import type { Claim } from './claims.ts';
import { maxTargetBytes } from './delta/format.ts';
import {
  type DeltaLayer,
  type DeltaManifest,
  deltaType,
  fromAnnotation,
  maxDeltaManifestBytes,
  parseDeltaManifest,
} from './delta-manifest.ts';
import type { DiskThread } from './disk-thread.ts';
import type { Grants } from './grants.ts';
import type { Descriptor } from './manifest.ts';
import type { ImageReference } from './reference.ts';
import { type Referrer, type ReferrerLimits, referrersOf } from './referrers.ts';
import type { Registry } from './registry.ts';
import { watchOver } from './stall-watch.ts';
import type { ContentStore } from './store.ts';

/** Why a delta was not used, and the file was fetched whole. */
export type DeltaRefusal =
  /** The registry has none from what is here. */
  | 'none'
  /** The look for one took too long, or its bytes stopped to come, or the file was not made in time. */
  | 'late'
  /** The look for one failed. */
  | 'lookup'
  /** It is not smaller than what it makes, or that is beyond the limit. */
  | 'size'
  /** The disk, or its budget, has no room for it beside what it makes. */
  | 'room'
  /** Its bytes did not come. */
  | 'download'
  /** It does not make what it is for: damaged, made for another base, or made to do harm. */
  | 'content';

/** What became of a file that might have come as a delta. */
export type DeltaOutcome = {
  /** Manifests of what was fetched, and of the base where one was chosen. */
  readonly digest: Digest;
  readonly from?: Digest;
} & (
  | { readonly result: 'applied'; readonly savedBytes: number }
  | { readonly result: DeltaRefusal; readonly error?: unknown }
);

export type DeltaOptions = {
  /** Milliseconds that a fetch may spend on looking for a delta, once for all its files. */
  readonly lookupMs: number;
  /**
   * Milliseconds without 64 KiB more of a delta, and those that it may take to make a file, after which that comes
   * whole: less than a fetch has that makes no progress. Default: 30,000.
   */
  readonly stallMs?: number | undefined;
  readonly onOutcome: (outcome: DeltaOutcome) => void;
};

/** Files that are smaller come whole: a look costs two requests. */
export const leastDeltaBytes = 64 * 1024;
/** Of a look: manifests that are read at most, and how much of a list of referrers. */
const maxCandidates = 4;
const lookupLimits: ReferrerLimits = { maxEntries: 200, maxBytes: 256 * 1024, maxPages: 2 };

/** An artifact that is fetched for a claim, and how its files come whole. */
export type DeltaErrand = {
  readonly digest: Digest;
  readonly claim: Claim;
  readonly image: ImageReference;
  /** With the credentials of whoever asks. */
  readonly registry: Registry;
  readonly whole: WriteBlob;
  readonly signal: AbortSignal;
  readonly onBytes: (blob: Digest, bytes: number) => void;
};

type Parts = {
  readonly store: ContentStore;
  readonly grants: Grants;
  readonly disk: DiskThread;
  readonly clock: Pick<Clock, 'after'>;
};

/** A delta for a file, and the base that this claim may use for it. */
type Found = {
  readonly from: Digest;
  readonly layer: DeltaLayer;
  readonly base: Descriptor & { readonly path: string };
};

/**
 * Artifacts that come as their changes to what is here.
 *
 * Guarantees: a base is only what the same namespace was granted by the same source, so that a delta tells nobody anything that
 * its source has not sent; and whatever a registry says costs at most the time of one look and one more transfer that is smaller
 * than the file, and ends in the whole file.
 */
export class Deltas {
  readonly #parts: Parts;
  readonly #options: DeltaOptions;

  constructor(parts: Parts, options: DeltaOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Writes a file out of a delta where there is one that fits, else whole. The look for it begins with the first file that may need one. */
  writer(errand: DeltaErrand): WriteBlob {
    const { digest, whole } = errand;
    let looking: Promise<readonly Found[]> | undefined;
    return async (blob, path, have) => {
      const bases = have > 0 || blob.size < leastDeltaBytes ? [] : this.#bases(errand);
      if (bases.length > 0) {
        looking ??= this.#look(errand, bases);
        const found = (await looking).find(({ layer }) => layer.to === blob.digest);
        if (found !== undefined && (await this.#make(errand, found, blob, path))) {
          const { from, layer } = found;
          this.#options.onOutcome({ digest, from, result: 'applied', savedBytes: blob.size - layer.size });
          return;
        }
      }
      await whole(blob, path, have);
    };
  }

  /** What is here of the same source for the same namespace. */
  #bases({ digest, claim }: DeltaErrand): readonly Digest[] {
    const { store, grants } = this.#parts;
    return store.list().filter((stored) => stored !== digest && grants.has(stored, claim));
  }

  async #look(errand: DeltaErrand, bases: readonly Digest[]): Promise<readonly Found[]> {
    const { digest, signal } = errand;
    const { lookupMs, onOutcome } = this.#options;
    const late = new AbortController();
    const stop = this.#parts.clock.after(lookupMs, () => late.abort(new Error(`a look took ${lookupMs} ms`)));
    try {
      const found = await this.#ask(errand, bases, AbortSignal.any([signal, late.signal]));
      if (found.length === 0) onOutcome({ digest, result: 'none' });
      return found;
    } catch (error) {
      signal.throwIfAborted();
      onOutcome({ digest, result: late.signal.aborted ? 'late' : 'lookup', error });
      return [];
    } finally {
      stop();
    }
  }

  /** The smallest of the deltas that are offered and fit. */
  async #ask(
    { registry, image, digest: subject }: DeltaErrand,
    bases: readonly Digest[],
    signal: AbortSignal,
  ): Promise<readonly Found[]> {
    const asked = { subject, artifactType: deltaType };
    const { referrers } = await referrersOf(registry, image, asked, signal, lookupLimits);
    const isBase = (from: string): boolean => bases.some((base) => base === from);
    const candidates = referrers.filter(({ size, annotations: { [fromAnnotation]: from } = {} }) => {
      return size <= maxDeltaManifestBytes && (from === undefined || isBase(from));
    });
    const fitting: (readonly Found[])[] = [];
    let broken: unknown;
    for (const candidate of candidates.slice(0, maxCandidates)) {
      const bytes = await manifestOf(registry, image, candidate, signal);
      try {
        const found = this.#fitting(parseDeltaManifest(bytes, candidate.digest), subject, isBase);
        if (found.length > 0) fitting.push(found);
      } catch (error) {
        // Another one may be good.
        broken = error;
      }
    }
    if (fitting.length === 0 && broken !== undefined) throw broken;
    return fitting.toSorted((a, b) => sizeOf(a) - sizeOf(b))[0] ?? [];
  }

  #fitting(
    { from, subject: of, layers }: DeltaManifest,
    subject: Digest,
    isBase: (from: string) => boolean,
  ): readonly Found[] {
    if (of !== subject || !isBase(from)) return [];
    const blobs = new Map(this.#parts.store.blobs(from).map((blob) => [blob.digest, blob]));
    return layers.flatMap((layer) => {
      // A file of the base, and no other one: the disk has those of other namespaces too.
      const base = blobs.get(layer.from);
      return base === undefined ? [] : [{ from, layer, base }];
    });
  }

  /** Makes a file; false, after it was said why, when it has to come whole. Nothing is at `path` before it is complete. */
  async #make(errand: DeltaErrand, found: Found, blob: Descriptor, path: string): Promise<boolean> {
    const { signal } = errand;
    const { from, layer, base } = found;
    const refused = (result: DeltaRefusal, error?: unknown): false => {
      this.#options.onOutcome({ digest: errand.digest, from, result, error });
      return false;
    };
    if (layer.size >= blob.size || blob.size > maxTargetBytes) return refused('size');
    let step: DeltaRefusal = 'room';
    const { stallMs = 30_000 } = this.#options;
    using watch = watchOver(this.#parts.clock, stallMs, 'a delta');
    const watched = AbortSignal.any([signal, watch.signal]);
    try {
      await using file = this.#parts.store.scratch(layer.size, `a delta to ${blob.digest}`);
      await using made = this.#parts.store.scratch(0, `what a delta makes, which has room already`);
      step = 'download';
      await errand.registry.blob(errand.image, layer, { path: file.path, have: 0 }, watched, (bytes) => {
        watch.heard();
        errand.onBytes(blob.digest, bytes);
      });
      step = 'content';
      await this.#parts.disk.rebuild(
        {
          delta: file.path,
          base: base.path,
          target: made.path,
          from: identityOf(base),
          to: identityOf(blob),
        },
        watched,
      );
      await rename(made.path, path);
    } catch (error) {
      signal.throwIfAborted();
      return refused(watch.signal.aborted ? 'late' : isDiskFull(error) ? 'room' : step, error);
    }
    errand.onBytes(blob.digest, blob.size);
    return true;
  }
}

const identityOf = ({ digest, size }: Descriptor) => ({ digest, size });

const sizeOf = (found: readonly Found[]): number => found.reduce((sum, { layer }) => sum + layer.size, 0);

const manifestOf = async (
  registry: Registry,
  image: ImageReference,
  { digest, size }: Referrer,
  signal: AbortSignal,
): Promise<Uint8Array> => {
  const bytes = await registry.manifest(image, digest, signal);
  if (bytes.length === size) return bytes;
  throw new AdaptletError('DELTA_INVALID', `the manifest of a delta has ${bytes.length} bytes, not ${size}`);
};
