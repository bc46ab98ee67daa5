import type { Logger } from 'pino';
import type { Digest } from '../../api/names.ts';
import { blobsOf, type Manifest, totalBytes } from '../../artifact/manifest.ts';
import { receive } from '../../artifact/offer.ts';
import type { Registry } from '../../artifact/registry.ts';
import { AdaptletError, asAdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { pause } from '../../time/pause.ts';
import { spaced } from '../../time/spaced.ts';
import type { ModelSource } from '../config/model-source.ts';
import type { ModelMemory } from '../state/memory.ts';
import { askForModel } from './fetch-model.ts';
import { locateGraph, refuseWithoutChoice } from './locate.ts';
import type { ModelState, Progress } from './model-state.ts';
import type { ModelStore } from './model-store.ts';
import { Rate } from './rate.ts';

export type DeliveryParts = ModelStore & {
  readonly source: Extract<ModelSource, { kind: 'registry' }>;
  /** The graph that someone named. */
  readonly modelFile?: string | undefined;
  readonly registry: Pick<Registry, 'manifest' | 'blob'>;
  readonly remembered: ModelMemory | undefined;
  readonly memory: { write(memory: ModelMemory): Promise<void> };
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
};

/** A base model on the disk: the digest of its manifest, its folder, and the graph in it that the engine opens. */
export type Delivered = { readonly digest: Digest; readonly folder: string; readonly file: string };

/** Between tries. What only a person can change is looked at as seldom as the longest of these. */
const delays = { firstMs: 1_000, maxMs: 60_000 };
/** Listeners hear of bytes that arrived at most this often, in milliseconds; the log as often as the second. */
const progressMs = 1_000;
const logMs = 30_000;

/** Brings one base model from a registry to the disk. */
export class ModelDelivery {
  readonly #parts: DeliveryParts;
  readonly #listeners = new Set<() => void>();
  readonly #progressed: ReturnType<typeof spaced>;
  readonly #logged: ReturnType<typeof spaced>;
  #memory: ModelMemory | undefined;
  #state: ModelState = { kind: 'Resolving' };
  #progress: (Progress & { readonly rate: Rate }) | undefined;

  constructor(parts: DeliveryParts) {
    const { clock, remembered, source } = parts;
    this.#parts = parts;
    // What another reference was resolved to says nothing of this one.
    this.#memory = remembered?.reference === source.url ? remembered : undefined;
    this.#progressed = spaced(() => this.#tell(), { clock, gapMs: progressMs });
    this.#logged = spaced(() => this.#log(), { clock, gapMs: logMs });
  }

  get state(): ModelState {
    return this.#state.kind === 'Downloading' ? this.#downloading() : this.#state;
  }

  /** Of the manifest; undefined until it is known. */
  get digest(): Digest | undefined {
    return this.#parts.source.image.digest ?? this.#memory?.digest;
  }

  onState(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Resolves once the model is on the disk and verified. Whatever goes wrong is said, and tried again.
   * @throws the reason of `signal`
   */
  async run(signal: AbortSignal): Promise<Delivered> {
    for (let failures = 0; ; ) {
      const before = this.#progress?.receivedBytes ?? 0;
      try {
        const delivered = await this.#attempt(signal);
        this.#become({ kind: 'Loading' });
        return delivered;
      } catch (cause) {
        signal.throwIfAborted();
        failures = (this.#progress?.receivedBytes ?? 0) > before ? 1 : failures + 1;
        await this.#failed(cause, failures, signal);
      }
    }
  }

  /** The model serves: what else is in the store makes room. */
  async serves(digest: Digest): Promise<void> {
    const { store, logger } = this.#parts;
    for (const other of store.list()) {
      if (other === digest) continue;
      await store.remove(other);
      logger.info({ digest: other }, 'an earlier base model was removed from the disk');
    }
    await store.clearLeftovers();
  }

  /**
   * Reads the model that is in use. One that rotted is left where it is, as the engine may need its files; the next
   * start fetches it again.
   * @throws the reason of `signal`
   */
  async check(digest: Digest, signal: AbortSignal): Promise<void> {
    try {
      await this.#parts.store.check(digest, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#parts.logger.error(
        { err: error, digest },
        'the base model on this disk is damaged; restart the runtime to have it fetched again',
      );
      if (errorCodeOf(error) === 'ARTIFACT_CORRUPT') await this.#remember(digest, true);
    }
  }

  close(): void {
    this.#progressed.close();
    this.#logged.close();
    this.#listeners.clear();
  }

  async #attempt(signal: AbortSignal): Promise<Delivered> {
    const { store, source, modelFile } = this.#parts;
    const known = this.digest;
    if (known !== undefined && this.#memory?.damaged === true) {
      await store.quarantine(known, signal);
      await this.#remember(known, false);
    }
    if (known === undefined || store.stored(known) === undefined) await this.#fetch(known, signal);
    const { digest } = this;
    if (digest === undefined)
      throw new AdaptletError('INTERNAL', `${source.url} was fetched without a digest`);
    const folder = store.folder(digest);
    return { digest, folder, file: await locateGraph(folder, source.url, modelFile) };
  }

  async #fetch(known: Digest | undefined, signal: AbortSignal): Promise<void> {
    const { store, registry, source, modelFile } = this.#parts;
    const { image, url } = source;
    if (this.#progress === undefined) this.#become({ kind: 'Resolving' });
    const pinned = known === undefined ? image : { ...image, digest: known };
    const offer = await askForModel(registry, pinned, url, signal);
    const { digest, manifest } = offer;
    refuseWithoutChoice(manifest, url, modelFile);
    if (known === undefined) await this.#resolved(digest);
    await this.#refuseWithoutRoom(manifest);
    await receive({ registry, store }, image, offer, signal, (receivedBytes) =>
      this.#received({ digest, receivedBytes, totalBytes: totalBytes(manifest) }),
    );
  }

  /** A tag may move on; this node stays with what it was. */
  async #resolved(digest: Digest): Promise<void> {
    const { logger, source } = this.#parts;
    await this.#remember(digest, false);
    logger.info(
      { model: source.url, digest },
      'the tag of the base model was resolved, once for this data folder',
    );
  }

  async #remember(digest: Digest, damaged: boolean): Promise<void> {
    this.#memory = { reference: this.#parts.source.url, digest, damaged };
    await this.#parts.memory.write(this.#memory);
  }

  /** The store's budget is its own word; the disk may have less. */
  async #refuseWithoutRoom(manifest: Manifest): Promise<void> {
    const { store, freeBytes, source } = this.#parts;
    const missing = totalBytes(manifest) - store.bytesHere(blobsOf(manifest));
    const free = await freeBytes();
    if (missing <= free) return;
    throw new AdaptletError(
      'STORE_FULL',
      `${source.url} needs ${missing} more bytes, the disk of the data folder has ${free}`,
      { advice: 'Free space on the disk, or put --data-dir on a larger one.' },
    );
  }

  #received(progress: Progress): void {
    const rate = this.#progress?.digest === progress.digest ? this.#progress.rate : new Rate();
    rate.add(this.#parts.clock.monotonic(), progress.receivedBytes);
    this.#progress = { ...progress, rate };
    if (this.#state.kind === 'Downloading') this.#progressed.ask();
    else this.#become(this.#downloading());
    this.#logged.ask();
  }

  #downloading(): ModelState {
    if (this.#progress === undefined) return { kind: 'Resolving' };
    const { rate, ...progress } = this.#progress;
    const bytesPerSecond = rate.at(this.#parts.clock.monotonic(), progress.receivedBytes);
    return { kind: 'Downloading', bytesPerSecond, ...progress };
  }

  async #failed(cause: unknown, failures: number, signal: AbortSignal): Promise<void> {
    const { clock, random, logger, source } = this.#parts;
    const error = asAdaptletError(cause, `base model ${source.url}`);
    const { code, message, retry } = error;
    const delayMs = retry === 'Backoff' ? backoffMs(failures, random, delays) : delays.maxMs;
    logger.error(
      { err: error, delayMs: Math.round(delayMs) },
      'the base model could not be fetched; it is tried again',
    );
    const { rate: _, ...progress } = this.#progress ?? { rate: undefined };
    this.#become({ kind: 'Waiting', code, message, ...progress });
    await pause(clock, Math.max(delayMs, error.retryAfterMs ?? 0), signal);
  }

  #become(state: ModelState): void {
    this.#state = state;
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #log(): void {
    const { state } = this;
    if (state.kind === 'Downloading') this.#parts.logger.info(state, 'the base model is being downloaded');
  }
}
