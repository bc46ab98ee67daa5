import type { Digest } from '../../api/names.ts';
import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { Core } from './core.ts';
import type { DiskRoom } from './disk-room.ts';
import type { EngineWatch } from './engine-watch.ts';
import type { Entry } from './entry.ts';
import { withLimit } from './limit.ts';
import { PrioritySemaphore } from './priority-semaphore.ts';
import type { Removals } from './removals.ts';
import type { Signatures } from './signatures.ts';

export type DiskParts = {
  readonly core: Core;
  readonly watch: EngineWatch;
  readonly removals: Removals;
  readonly room: DiskRoom;
  readonly loads: PrioritySemaphore;
  readonly signatures: Signatures;
  /** Its namespace has no room for it on the disk. */
  readonly noRoom: (entry: Entry, error: AdaptletError) => void;
  /** It is about to be fetched. */
  readonly fetching: (entry: Entry) => void;
};

/** Codes that say: the artifact on this disk is damaged or gone, the publisher's may be good. */
const damaged: ReadonlySet<string> = new Set(['ARTIFACT_CORRUPT', 'ARTIFACT_NOT_STORED']);

/** Codes that say: this node lacks what the adapter needs. What it has of it is good, and its source may be out of reach. */
const ofNode: ReadonlySet<string> = new Set(['ADAPTER_NEEDS_OPERATOR', 'ADAPTER_DORA']);

/** Brings adapters to the disk: Remote -> Fetching -> Stored -> Compiled. */
export class Disk {
  readonly #core: Core;
  readonly #watch: EngineWatch;
  readonly #removals: Removals;
  readonly #room: DiskRoom;
  readonly #noRoom: DiskParts['noRoom'];
  readonly #fetching: DiskParts['fetching'];
  readonly #loads: PrioritySemaphore;
  readonly #signatures: Signatures;
  readonly #fetches: PrioritySemaphore;
  /** Folders of this node, which are here while links are slow or closed. */
  readonly #copies: PrioritySemaphore;
  /** Two adapters with one content compile one after the other: the second finds the file. */
  readonly #compiling = new Map<Digest, Promise<unknown>>();

  constructor({ core, watch, removals, room, loads, signatures, noRoom, fetching }: DiskParts) {
    this.#core = core;
    this.#watch = watch;
    this.#removals = removals;
    this.#room = room;
    this.#noRoom = noRoom;
    this.#fetching = fetching;
    this.#loads = loads;
    this.#signatures = signatures;
    const { maxParallelFetches: fetches = 4 } = core.options;
    // A namespace whose registries are slow leaves one to the others.
    this.#fetches = new PrioritySemaphore(fetches, Math.max(1, fetches - 1));
    this.#copies = new PrioritySemaphore(fetches, Math.max(1, fetches - 1));
  }

  /** True when the artifact is here for this adapter, which has its room for it, and is not about to be removed. */
  has(entry: Entry): boolean {
    const { digest } = entry;
    return (
      digest !== undefined &&
      !entry.offDisk &&
      this.#core.options.artifacts.stored(entry.wish, digest) !== undefined &&
      this.#removals.underWay(digest) === undefined
    );
  }

  /**
   * Its source may be asked, as for a fetch.
   * @throws SIGNATURE_*, FETCH_STALLED, those of registries and stores
   */
  async checkSigned(entry: Entry, digest: Digest): Promise<void> {
    const { signal } = entry.abort;
    if (await this.#signatures.isKept(entry, digest)) return;
    await this.#fetches.run(entry, signal, () => this.#signatures.check(entry, digest, signal));
  }

  /**
   * Remote -> Stored; Failed -> Stored, or Failed with its artifact here; false when its namespace has no room for it.
   * @throws ADAPTER_BASE_MISMATCH, SOURCE_NOT_ALLOWED, ADAPTER_DIGEST_CHANGED, those of the artifact part
   */
  async store(entry: Entry, repairs: Set<string>): Promise<boolean> {
    let isThere = false;
    try {
      isThere = await this.#withinLimit(entry, () => this.#store(entry, repairs));
      return isThere;
    } finally {
      // Nor does its compiled file come.
      if (!isThere) this.#room.arrivals.compiled(entry);
      this.#room.settled(entry);
    }
  }

  /** False when its namespace has no room for it: it does without the disk. */
  async #withinLimit(entry: Entry, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof AdaptletError) || error.code !== 'NAMESPACE_ADAPTER_DISK') throw error;
      await this.#room.leave(entry);
      this.#noRoom(entry, error);
      return false;
    }
  }

  async #store(entry: Entry, repairs: Set<string>): Promise<void> {
    const { baseModel } = this.#core.options;
    const refusal = this.#core.sourceRefusal(entry.key, entry.resource.body.source);
    if (refusal !== undefined) throw new AdaptletError('SOURCE_NOT_ALLOWED', refusal);
    checkBase(entry, baseModel, this.#knownBase());
    if (entry.digest !== undefined && (await this.#find(entry, entry.digest))) return;
    this.#room.check(entry);
    const places = entry.resource.body.source.path === undefined ? this.#fetches : this.#copies;
    this.#fetching(entry);
    await places.run(entry, entry.signal, () => this.#fetch(entry, repairs));
  }

  /** Takes what is on the disk for this adapter; false when it is not, or was removed before there was room. */
  async #find(entry: Entry, digest: Digest): Promise<boolean> {
    const { artifacts } = this.#core.options;
    const look = async () => {
      await this.#removals.underWay(digest);
      return artifacts.stored(entry.wish, digest);
    };
    const found = await look();
    if (found === undefined) return false;
    const { bytes } = found;
    const errand = { signal: entry.signal, alive: () => undefined };
    await this.#room.admit(entry, { digest, bytes, missingBytes: 0 }, errand);
    if ((await look()) === undefined) return false;
    entry.storedBytes = bytes;
    // Failed stays so until it compiles.
    if (entry.state.kind === 'Remote') this.#core.move(entry, { kind: 'Found', digest, storedBytes: bytes });
    return true;
  }

  #knownBase(): Digest | undefined {
    try {
      return this.#core.options.engine.info().baseDigest;
    } catch (error) {
      // Not ready yet: it is checked before the compile.
      if (errorCodeOf(error) === 'ENGINE_DOWN') return undefined;
      throw error;
    }
  }

  async #fetch(entry: Entry, repairs: Set<string>): Promise<void> {
    const { artifacts, clock, resolutions, fetchStallMs = 60_000 } = this.#core.options;
    const { uid, signal: outer } = entry;
    const expected = entry.digest;
    this.#core.move(entry, { kind: 'FetchStarted' });
    try {
      const limit = {
        clock,
        ms: fetchStallMs,
        code: 'FETCH_STALLED',
        what: `the fetch of adapter ${entry.key} made no progress`,
      } as const;
      const fetched = await withLimit(limit, outer, (signal, alive) => {
        const fetching = artifacts.fetch(entry.wish, expected, {
          signal,
          admit: async (arrival) => {
            entry.arriving = arrival.digest;
            await this.#signatures.check(entry, arrival.digest, signal);
            await this.#room.admit(entry, arrival, { signal, alive });
          },
          onReserved: () => {
            this.#room.arrivals.reserved(entry);
          },
          onProgress: ({ receivedBytes, totalBytes }) => {
            entry.note = `received ${receivedBytes} of ${totalBytes} bytes`;
            alive();
          },
          onWork: alive,
        });
        entry.onDisk = ended(fetching);
        return fetching;
      });
      if (expected !== undefined && fetched.digest !== expected) {
        throw new AdaptletError(
          'ADAPTER_DIGEST_CHANGED',
          `the source of adapter ${entry.key} gives ${fetched.digest}, recorded is ${expected}`,
        );
      }
      // Nothing may depend on a resolution that a power cut could take back.
      if (resolutions.get(uid) !== fetched.digest) await resolutions.set(uid, fetched.digest);
      entry.abort.signal.throwIfAborted();
      entry.digest = fetched.digest;
      entry.storedBytes = fetched.bytes;
      entry.fetched = true;
      const { digest, bytes } = fetched;
      // How much an archive has is known now.
      if (bytes > (this.#room.arrivals.of(entry)?.bytes ?? 0))
        await this.#room.admit(
          entry,
          { digest, bytes, missingBytes: 0 },
          { signal: outer, alive: () => undefined },
        );
      entry.note = '';
      if (entry.prefetch !== undefined) this.#core.prefetched.brought(entry, 'disk', fetched.bytes);
    } catch (error) {
      entry.note = '';
      if (!entry.planned && expected === undefined) this.#core.strangers.failed(entry, errorCodeOf(error));
      const isLimited = errorCodeOf(error) === 'NAMESPACE_ADAPTER_DISK';
      if (outer.aborted || isLimited || entry.prefetch !== undefined) {
        const reason = isLimited ? 'no room on the disk for its namespace' : 'not wanted any more';
        this.#core.move(entry, { kind: 'FetchStopped', reason });
      }
      throw asChanged(entry, error);
    }
    this.#core.move(entry, { kind: 'Fetched', digest: entry.digest, storedBytes: entry.storedBytes });
    // Another adapter with this content was being removed meanwhile: its files may be gone again.
    await this.#removals.underWay(entry.digest);
    if (artifacts.stored(entry.wish, entry.digest) === undefined) {
      this.#core.move(entry, { kind: 'ArtifactLost', reason: 'removed together with another adapter' });
      if (repairs.has('removed')) {
        throw new AdaptletError(
          'INTERNAL',
          `the artifact of adapter ${entry.key} is not on the disk after its fetch`,
        );
      }
      repairs.add('removed');
    }
  }

  /**
   * Stored, or Failed with its artifact here -> Compiled; false when its namespace has no room for its compiled file.
   * @throws ADAPTER_BASE_MISMATCH, those of the adapter part
   */
  async compile(entry: Entry, repairs: Set<string>): Promise<boolean> {
    try {
      return await this.#withinLimit(entry, () => this.#compile(entry, repairs));
    } finally {
      this.#room.arrivals.compiled(entry);
    }
  }

  async #compile(entry: Entry, repairs: Set<string>): Promise<void> {
    const { signal } = entry.abort;
    await this.#watch.ready(entry);
    const { engine, baseModel, artifacts } = this.#core.options;
    const info = engine.info();
    checkBase(entry, baseModel, info.baseDigest);
    const { digest } = entry;
    if (digest === undefined)
      throw new AdaptletError('INTERNAL', `adapter ${entry.key} is stored without a digest`);
    try {
      const hasRoom = await this.#room.forCompiled(entry, digest, { signal, alive: () => undefined });
      const compiled = await this.#loads.run(entry, signal, () => this.#compileAlone(entry, digest, hasRoom));
      entry.compiled = compiled;
      entry.bytes = compiled.ramBytes;
      this.#core.move(entry, { kind: 'Built', digest, storedBytes: entry.storedBytes, compiled });
    } catch (error) {
      if (repairs.has('artifact') || !mayBeDamaged(entry, errorCodeOf(error))) throw error;
      repairs.add('artifact');
      const reason = error instanceof Error ? error.message : String(error);
      await artifacts.quarantine(digest, reason);
      if (entry.state.kind === 'Stored') this.#core.move(entry, { kind: 'ArtifactLost', reason });
    }
  }

  async #compileAlone(entry: Entry, digest: Digest, hasRoom: boolean) {
    const { signal } = entry.abort;
    for (;;) {
      const before = this.#compiling.get(digest);
      if (before === undefined) break;
      await ended(before);
    }
    signal.throwIfAborted();
    const { compiler, artifacts, engine, clock, stageLimitMs = 120_000 } = this.#core.options;
    const limit = {
      clock,
      ms: stageLimitMs,
      code: 'COMPILE_STALLED',
      what: `the compile of adapter ${entry.key} did not end`,
    } as const;
    const usual = entry.knownCompiledBytes ?? entry.storedBytes;
    const work = withLimit(limit, signal, (inner, alive) => {
      const compiling = compiler.compile(
        {
          digest,
          folder: artifacts.folder(digest),
          bytes: usual,
          verify: (s) => artifacts.verify(digest, s, alive),
          alive,
          onReserved: () => {
            this.#room.arrivals.compiling(entry, digest);
          },
          makeRoom: async (bytes) => {
            if (bytes === usual && hasRoom) return;
            if (bytes !== usual) entry.compiledBytes = bytes;
            await this.#room.forCompiled(entry, digest, { signal: inner, alive });
          },
        },
        engine.info(),
        inner,
      );
      entry.onDisk = ended(compiling);
      return compiling;
    });
    this.#compiling.set(digest, work);
    try {
      return await work;
    } finally {
      this.#compiling.delete(digest);
    }
  }
}

/**
 * What was on the disk before this process began may have rotted there: then its files are refused like bad ones, and
 * one fetch tells the difference.
 */
const mayBeDamaged = (entry: Entry, code: string): boolean =>
  damaged.has(code) || (!entry.fetched && code.startsWith('ADAPTER_') && !ofNode.has(code));

/** A source that has lost the content recorded for a uid; a digest in the manifest is the author's own word. */
const asChanged = (entry: Entry, error: unknown): unknown =>
  errorCodeOf(error) === 'DIGEST_MISMATCH' && entry.resource.body.digest === undefined
    ? new AdaptletError(
        'ADAPTER_DIGEST_CHANGED',
        `the source of adapter ${entry.key} no longer gives ${entry.digest}, which is recorded for it`,
        { cause: error },
      )
    : error;

/** Waits for the end of someone else's work, whatever it is. */
const ended = async (work: Promise<unknown>): Promise<void> => {
  await Promise.allSettled([work]);
};

/**
 * @throws ADAPTER_BASE_MISMATCH when the adapter is for a base model of another name, or for other builds of it
 */
export const checkBase = (entry: Entry, baseModel: string, baseDigest: Digest | undefined): void => {
  const { body } = entry.resource;
  if (body.baseModel !== baseModel) {
    throw new AdaptletError(
      'ADAPTER_BASE_MISMATCH',
      `adapter ${entry.key} is for the base model ${body.baseModel}, this runtime has ${baseModel}`,
    );
  }
  if (
    baseDigest === undefined ||
    body.baseModelDigests.length === 0 ||
    body.baseModelDigests.includes(baseDigest)
  ) {
    return;
  }
  throw new AdaptletError(
    'ADAPTER_BASE_MISMATCH',
    `adapter ${entry.key} is for the builds ${body.baseModelDigests.join(', ')} of ${baseModel}, this runtime has ${baseDigest}`,
  );
};
