import type { Digest, ObjectKey } from '../../api/names.ts';
import { asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { backoffMs, type Delays } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';

/**
 * Asks a registry for the digest of a tag.
 * @throws those of src/artifact's registry; ARTIFACT_NOT_FOUND: no such tag
 */
export type Resolve = (image: string, signal: AbortSignal) => Promise<Digest>;

/** What is known of a tag. */
export type Resolution =
  | { readonly kind: 'Asking' }
  | { readonly kind: 'Resolved'; readonly digest: Digest }
  | { readonly kind: 'Failed'; readonly code: ErrorCode; readonly message: string };

export type ResolverParts = {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly resolve: Resolve;
};

/** Requests at a time, in all and per registry: a registry that hangs takes no more than its share. */
const maxRunning = 8;
const maxPerRegistry = 2;
/** Between questions to a registry that does not answer. */
const registryDelays: Delays = { firstMs: 1000, maxMs: 60_000 };
/** Between questions about a tag that the registry does not give: it may be pushed, or credentials may come. */
const tagDelays: Delays = { firstMs: 5000, maxMs: 300_000 };

type Job = {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly image: string;
  readonly registry: string;
  state: Resolution;
  failures: number;
  notBefore: number;
  isRunning: boolean;
  readonly stop: AbortController;
};
type Registry = { running: number; failures: number; notBefore: number };

/**
 * Resolves tags, each once for the life of an Adapter object: what was found for a uid stays until the object is gone.
 *
 * Guarantees: bounded parallelism; a registry that does not answer is asked less and less often, and by itself does not keep
 * others waiting; the listener is called whenever the answer of `of` changed.
 * Caveat: many silent registries at once take all places, oldest jobs first, and others wait.
 */
export class Resolver {
  readonly #parts: ResolverParts;
  readonly #jobs = new Map<string, Job>();
  readonly #registries = new Map<string, Registry>();
  readonly #listeners = new Set<(key: ObjectKey) => void>();
  #cancelTimer: () => void = () => undefined;
  #closed = false;

  constructor(parts: ResolverParts) {
    this.#parts = parts;
  }

  /** What is known; asks when nothing is. */
  of(key: ObjectKey, uid: string, image: string): Resolution {
    const known = this.#jobs.get(uid);
    if (known !== undefined) return known.state;
    const registry = image.slice(0, image.indexOf('/'));
    const stop = new AbortController();
    const state: Resolution = { kind: 'Asking' };
    const job: Job = { key, uid, image, registry, state, failures: 0, notBefore: 0, isRunning: false, stop };
    this.#jobs.set(uid, job);
    this.#pump();
    return job.state;
  }

  /** The object is gone, or its digest is written. */
  forget(uid: string): void {
    const job = this.#jobs.get(uid);
    this.#jobs.delete(uid);
    job?.stop.abort();
  }

  onChange(listener: (key: ObjectKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
    for (const { stop } of this.#jobs.values()) stop.abort();
  }

  #registryOf(name: string): Registry {
    const known = this.#registries.get(name) ?? { running: 0, failures: 0, notBefore: 0 };
    this.#registries.set(name, known);
    return known;
  }

  #pump(): void {
    if (this.#closed) return;
    this.#cancelTimer();
    const now = this.#parts.clock.monotonic();
    let running = [...this.#registries.values()].reduce((sum, registry) => sum + registry.running, 0);
    let next = Number.POSITIVE_INFINITY;
    for (const job of this.#jobs.values()) {
      if (job.isRunning || job.state.kind === 'Resolved') continue;
      const registry = this.#registryOf(job.registry);
      const notBefore = Math.max(job.notBefore, registry.notBefore);
      // One question finds out whether a registry that was away is back.
      const maxParallel = registry.failures > 0 ? 1 : maxPerRegistry;
      if (notBefore > now) next = Math.min(next, notBefore - now);
      else if (running < maxRunning && registry.running < maxParallel) {
        running++;
        void this.#ask(job, registry);
      }
    }
    if (Number.isFinite(next)) this.#cancelTimer = this.#parts.clock.after(next, () => this.#pump());
  }

  async #ask(job: Job, registry: Registry): Promise<void> {
    const { clock, random, resolve } = this.#parts;
    job.isRunning = true;
    registry.running++;
    try {
      const digest = await resolve(job.image, job.stop.signal);
      registry.failures = 0;
      job.state = { kind: 'Resolved', digest };
    } catch (error) {
      const { code, message, retry } = asAdaptletError(error, job.image);
      const now = clock.monotonic();
      job.failures++;
      job.state = { kind: 'Failed', code, message };
      if (retry === 'Backoff') {
        registry.failures++;
        registry.notBefore = now + backoffMs(registry.failures, random, registryDelays);
      } else {
        registry.failures = 0;
        job.notBefore = now + backoffMs(job.failures, random, tagDelays);
      }
    } finally {
      job.isRunning = false;
      registry.running--;
    }
    if (this.#jobs.get(job.uid) === job) for (const listener of this.#listeners) listener(job.key);
    this.#pump();
  }
}
