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
 * Asks a registry something.
 * @throws those of src/artifact's registry; PULL_SECRET: its Secret cannot be used; SIGNATURE_*
 */
export type Ask<Q, A> = (namespace: string, question: Q, signal: AbortSignal) => Promise<A>;

/** Asks for the digest of a tag. ARTIFACT_NOT_FOUND: there is no such tag. */
export type Resolve = Ask<OciSource, Digest>;

/** What is known of a question: by default of that for the digest of a tag. */
export type Resolution<A = Digest> =
  | { readonly kind: 'Asking' }
  | { readonly kind: 'Resolved'; readonly answer: A }
  | { readonly kind: 'Failed'; readonly code: ErrorCode; readonly message: string };

export type ResolverParts<Q, A> = {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly resolve: Ask<Q, A>;
  /** What is asked for, for people. */
  readonly what: string;
};

/** What is asked is about an image, of whose registry few things are asked at a time. */
type AboutImage = Pick<OciSource, 'image'>;

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

type Job<Q, A> = {
  readonly key: ObjectKey;
  readonly uid: string;
  readonly namespace: string;
  readonly source: Q;
  readonly registry: string;
  state: Resolution<A>;
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
 * Asks registries, once for the life of an Adapter object: what was answered for a uid stays until the object is gone.
 *
 * Guarantees: bounded parallelism, of which one namespace gets a quarter at most and namespaces their turns; a question
 * ends within {@link resolutionMs}; a registry that does not answer is asked less and less often; the listener is called
 * whenever the answer of `of` changed.
 */
export class Resolver<Q extends AboutImage, A> {
  readonly #parts: ResolverParts<Q, A>;
  readonly #jobs = new Map<string, Job<Q, A>>();
  readonly #queue = new RoundRobinQueue<Job<Q, A>>({
    running: maxRunning,
    runningOfGroup: maxOfNamespace,
    // There is one for each object of the API server.
    waitingOfGroup: Number.POSITIVE_INFINITY,
  });
  readonly #registries = new Map<string, Registry>();
  readonly #listeners = new Set<(key: ObjectKey) => void>();
  #cancelTimer: () => void = () => undefined;
  #closed = false;

  constructor(parts: ResolverParts<Q, A>) {
    this.#parts = parts;
  }

  /** What is known; asks when nothing is. */
  of(key: ObjectKey, uid: string, source: Q): Resolution<A> {
    const known = this.#jobs.get(uid);
    if (known !== undefined) return known.state;
    const registry = source.image.slice(0, source.image.indexOf('/'));
    const stop = new AbortController();
    const state: Resolution<A> = { kind: 'Asking' };
    const namespace = namespaceOf(key);
    const job: Job<Q, A> = { key, uid, namespace, source, registry, state, failures: 0, notBefore: 0, stop };
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
    const take = (): Job<Q, A> | undefined => this.#queue.take((job) => this.#mayRun(job, now));
    for (let job = take(); job !== undefined; job = take()) void this.#ask(job);
    const due = [...this.#jobs.values()].map((job) => this.#notBefore(job)).filter((at) => at > now);
    const next = due.reduce((soonest, at) => Math.min(soonest, at), Number.POSITIVE_INFINITY);
    if (Number.isFinite(next)) this.#cancelTimer = this.#parts.clock.after(next - now, () => this.#pump());
  }

  #notBefore({ registry, notBefore, state }: Job<Q, A>): number {
    return state.kind === 'Resolved' ? 0 : Math.max(notBefore, this.#registryOf(registry).notBefore);
  }

  #mayRun(job: Job<Q, A>, now: number): boolean {
    const { running, failures } = this.#registryOf(job.registry);
    // One question finds out whether a registry that was away is back.
    if (running.length >= (failures > 0 ? 1 : maxPerRegistry)) return false;
    const own = running.filter((namespace) => namespace === job.namespace);
    return own.length < maxOfNamespacePerRegistry && this.#notBefore(job) <= now;
  }

  async #ask(job: Job<Q, A>): Promise<void> {
    const { clock, random, resolve, what } = this.#parts;
    const { namespace, source, stop } = job;
    const registry = this.#registryOf(job.registry);
    registry.running.push(namespace);
    const deadline = new AbortController();
    const cancel = clock.after(resolutionMs, () => deadline.abort(tooSlow(source.image, what)));
    const signal = AbortSignal.any([stop.signal, deadline.signal]);
    try {
      const answer = await unlessAborted(resolve(namespace, source, signal), signal);
      registry.failures = 0;
      job.state = { kind: 'Resolved', answer };
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

  #failed(job: Job<Q, A>, registry: Registry, error: unknown, now: number, random: () => number): void {
    const { code, message, retry } = asAdaptletError(error, job.source.image);
    job.failures++;
    job.state = { kind: 'Failed', code, message };
    // What is wrong with a signature says nothing about its registry.
    if (retry === 'Backoff' && !code.startsWith('SIGNATURE_')) {
      registry.failures++;
      registry.notBefore = now + backoffMs(registry.failures, random, registryDelays);
    } else {
      registry.failures = 0;
      job.notBefore = now + backoffMs(job.failures, random, tagDelays);
    }
  }
}

const tooSlow = (image: string, what: string): AdaptletError =>
  new AdaptletError(
    'REGISTRY_UNAVAILABLE',
    `the registry of ${image} gave no ${what} within ${resolutionMs / 1000} s`,
  );
