import type { Digest, ObjectKey } from '../../api/names.ts';
import type { OciSource } from '../../api/source.ts';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { RoundRobinQueue } from '../../fair/round-robin-queue.ts';
import { backoffMs, type Delays } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { unlessAborted } from '../../time/unless-aborted.ts';
import { namespaceOf } from '../objects/scope.ts';

/**
 * Asks a registry for the digest of a tag.
 * @throws those of src/artifact's registry; ARTIFACT_NOT_FOUND: no such tag; PULL_SECRET: its Secret cannot be used
 */
export type Resolve = (namespace: string, source: OciSource, signal: AbortSignal) => Promise<Digest>;

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

/** Requests at a time: in all, of one namespace, to one registry, and of one namespace to one registry. */
const maxRunning = 16;
const maxOfNamespace = 4;
const maxPerRegistry = 4;
const maxOfNamespacePerRegistry = 2;
/** From the question to the digest, with logins and redirects. */
export const resolutionMs = 15_000;
/** Between questions to a registry that does not answer. */
const registryDelays: Delays = { firstMs: 1000, maxMs: 60_000 };
/** Between questions about a tag that the registry does not give: it may be pushed, or credentials may come. */
const tagDelays: Delays = { firstMs: 5000, maxMs: 300_000 };

type Job = {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly namespace: string;
  readonly source: OciSource;
  readonly registry: string;
  state: Resolution;
  failures: number;
  notBefore: number;
  readonly stop: AbortController;
};
type Registry = {
  /** Namespaces of the questions that are under way. */
  readonly running: string[];
  failures: number;
  notBefore: number;
  /** Objects that name it. */
  jobs: number;
};

/**
 * Resolves tags, each once for the life of an Adapter object: what was found for a uid stays until the object is gone.
 *
 * Guarantees: bounded parallelism, of which one namespace gets a quarter at most and namespaces their turns; a question
 * ends within {@link resolutionMs}; a registry that does not answer is asked less and less often; the listener is called
 * whenever the answer of `of` changed.
 */
export class Resolver {
  readonly #parts: ResolverParts;
  readonly #jobs = new Map<string, Job>();
  readonly #queue = new RoundRobinQueue<Job>({
    running: maxRunning,
    runningOfGroup: maxOfNamespace,
    // There is one for each object of the API server.
    waitingOfGroup: Number.POSITIVE_INFINITY,
  });
  readonly #registries = new Map<string, Registry>();
  readonly #listeners = new Set<(key: ObjectKey) => void>();
  #cancelTimer: () => void = () => undefined;
  #closed = false;

  constructor(parts: ResolverParts) {
    this.#parts = parts;
  }

  /** What is known; asks when nothing is. */
  of(key: ObjectKey, uid: string, source: OciSource): Resolution {
    const known = this.#jobs.get(uid);
    if (known !== undefined) return known.state;
    const registry = source.image.slice(0, source.image.indexOf('/'));
    const stop = new AbortController();
    const state: Resolution = { kind: 'Asking' };
    const namespace = namespaceOf(key);
    const job: Job = { key, uid, namespace, source, registry, state, failures: 0, notBefore: 0, stop };
    this.#jobs.set(uid, job);
    this.#registryOf(registry).jobs++;
    this.#queue.add(namespace, job);
    this.#pump();
    return job.state;
  }

  /** The object is gone, or its digest is written. */
  forget(uid: string): void {
    const job = this.#jobs.get(uid);
    if (job === undefined) return;
    this.#jobs.delete(uid);
    this.#queue.remove(job.namespace, job);
    const registry = this.#registryOf(job.registry);
    registry.jobs--;
    this.#forgetIfIdle(job.registry, registry);
    job.stop.abort();
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
    const known = this.#registries.get(name) ?? { running: [], failures: 0, notBefore: 0, jobs: 0 };
    this.#registries.set(name, known);
    return known;
  }

  /** Tenants choose the names: none is kept that nobody asks for. */
  #forgetIfIdle(name: string, { jobs, running }: Registry): void {
    if (jobs === 0 && running.length === 0) this.#registries.delete(name);
  }

  #pump(): void {
    if (this.#closed) return;
    this.#cancelTimer();
    const now = this.#parts.clock.monotonic();
    const take = (): Job | undefined => this.#queue.take((job) => this.#mayRun(job, now));
    for (let job = take(); job !== undefined; job = take()) void this.#ask(job);
    const due = [...this.#jobs.values()].map((job) => this.#notBefore(job)).filter((at) => at > now);
    const next = due.reduce((soonest, at) => Math.min(soonest, at), Number.POSITIVE_INFINITY);
    if (Number.isFinite(next)) this.#cancelTimer = this.#parts.clock.after(next - now, () => this.#pump());
  }

  #notBefore({ registry, notBefore, state }: Job): number {
    return state.kind === 'Resolved' ? 0 : Math.max(notBefore, this.#registryOf(registry).notBefore);
  }

  #mayRun(job: Job, now: number): boolean {
    const { running, failures } = this.#registryOf(job.registry);
    // One question finds out whether a registry that was away is back.
    if (running.length >= (failures > 0 ? 1 : maxPerRegistry)) return false;
    const own = running.filter((namespace) => namespace === job.namespace);
    return own.length < maxOfNamespacePerRegistry && this.#notBefore(job) <= now;
  }

  async #ask(job: Job): Promise<void> {
    const { clock, random, resolve } = this.#parts;
    const { namespace, source, stop } = job;
    const registry = this.#registryOf(job.registry);
    registry.running.push(namespace);
    const deadline = new AbortController();
    const cancel = clock.after(resolutionMs, () => deadline.abort(tooSlow(source.image)));
    const signal = AbortSignal.any([stop.signal, deadline.signal]);
    try {
      const digest = await unlessAborted(resolve(namespace, source, signal), signal);
      registry.failures = 0;
      job.state = { kind: 'Resolved', digest };
    } catch (error) {
      // One that nobody asks for any more says nothing about its registry.
      if (!stop.signal.aborted) this.#failed(job, registry, error, clock.monotonic(), random);
    } finally {
      cancel();
      registry.running.splice(registry.running.indexOf(namespace), 1);
      this.#queue.done(namespace);
    }
    this.#forgetIfIdle(job.registry, registry);
    if (this.#jobs.get(job.uid) === job) {
      if (job.state.kind !== 'Resolved') this.#queue.add(namespace, job);
      for (const listener of this.#listeners) listener(job.key);
    }
    this.#pump();
  }

  #failed(job: Job, registry: Registry, error: unknown, now: number, random: () => number): void {
    const { code, message, retry } = asAdaptletError(error, job.source.image);
    job.failures++;
    job.state = { kind: 'Failed', code, message };
    if (retry === 'Backoff') {
      registry.failures++;
      registry.notBefore = now + backoffMs(registry.failures, random, registryDelays);
    } else {
      registry.failures = 0;
      job.notBefore = now + backoffMs(job.failures, random, tagDelays);
    }
  }
}

const tooSlow = (image: string): AdaptletError =>
  new AdaptletError(
    'REGISTRY_UNAVAILABLE',
    `the registry of ${image} gave no digest within ${resolutionMs / 1000} s`,
  );
