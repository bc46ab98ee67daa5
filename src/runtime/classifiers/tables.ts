import type { Digest, ObjectKey } from '../../api/names.ts';
import type { Source } from '../../api/source.ts';
import type { Artifacts } from '../../artifact/artifacts.ts';
import { AdaptletError, asAdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type { Requirement } from '../../signature/requirement.ts';
import type { Log } from '../../telemetry/log.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { Mutex } from '../engine/mutex.ts';

/** What an artifact became in memory. */
export type Loaded = {
  /** In memory, about. */
  readonly bytes: number;
};

export type TablesParts<T extends Loaded> = {
  readonly artifacts: Pick<Artifacts, 'fetch' | 'folder' | 'verify' | 'checkSigned' | 'quarantine'>;
  /** Reads an artifact that is on the disk, and verifies it first. One at a time. */
  readonly read: (stored: StoredTable, signal: AbortSignal) => Promise<T>;
  /** Nobody wants it any more. Absent: there is nothing to do then. */
  readonly dropped?: (loaded: T) => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  /** A table came, or could not come. */
  readonly changed: () => void;
  /** Bytes that all tables may have in memory together. Default: 128 MiB. */
  readonly maxBytes?: number;
};

/** An artifact that a classifier needs. */
export type TableWish = {
  /** `namespace/route/classifier`. */
  readonly key: ObjectKey;
  readonly uid: string;
  readonly source: Source;
  readonly digest: Digest;
  /** Who has to have signed it. Absent: nobody. */
  readonly requirement?: Requirement | undefined;
};

/** One that is on the disk. */
export type StoredTable = Pick<TableWish, 'key' | 'digest'> & {
  /** Of its files. */
  readonly fileBytes: number;
};

/** Why there is none. */
export type Lack = {
  readonly reason: string;
  /** It is on its way. */
  readonly isPending?: true;
};
type TableState<T> = { readonly table: T } | Lack;

/** Why something is not here, and what to do, as statuses say it of Adapters; more may follow it. */
export const whyLacking = (error: unknown): string =>
  error instanceof AdaptletError ? `${error.code}: ${error.message.replace(/\.$/, '')}` : String(error);

const mebibyte = 1024 * 1024;
const delays = { firstMs: 1000, maxMs: 300_000 };
/** Bytes of files that an artifact may have. */
const maxArtifactBytes = 48 * mebibyte;

type Job<T> = {
  /** The newest that asks for the same. */
  wish: TableWish;
  readonly abort: AbortController;
  state: TableState<T>;
  /** Of the last try; undefined while one goes on, and once it came. */
  failed: ErrorCode | undefined;
  failures: number;
  isTrying: boolean;
  /** Settles after the first try; it never rejects. */
  first: Promise<void>;
  cancelRetry: () => void;
};

/** Equal ids: the same bytes by the same right. */
const idOf = ({ key, source, digest, requirement }: TableWish): string =>
  JSON.stringify([key.slice(0, key.indexOf('/')), source, digest, requirement?.version ?? '']);

/** The same but for the Secret, which is another way to the same right. */
const withoutSecret = (wish: TableWish): string => {
  const { image } = wish.source.oci ?? {};
  return idOf(image === undefined ? wish : { ...wish, source: { oci: { image } } });
};

/**
 * Artifacts of classifiers on their way from a source into memory: fetched for the namespace that wants them, verified, loaded once for
 * all who have the same digest.
 *
 * Guarantees: a namespace gets a table only once its own source gave it, signed as its policy asks; what failed is tried
 * again with growing delays for as long as it is wanted. What a namespace has it keeps where only the name of the Secret changes,
 * also while the new Secret does not open the registry.
 */
export class Tables<T extends Loaded> {
  readonly #parts: TablesParts<T>;
  readonly #jobs = new Map<string, Job<T>>();
  /** Files that are read are in memory beside what all tables may have: those of one table at a time. */
  readonly #reading = new Mutex();

  constructor(parts: TablesParts<T>) {
    this.#parts = parts;
  }

  /** These are wanted now, and no others. */
  follow(wishes: readonly TableWish[]): void {
    const wanted = new Map(wishes.map((wish) => [idOf(wish), wish]));
    for (const [id, wish] of wanted) {
      const job = this.#jobs.get(id);
      if (job === undefined) this.#begin(id, wish);
      // Under another name, too: it is by its name that the operator finds its Secret.
      else job.wish = wish;
    }
    // Last: what begins may keep what one of these has.
    for (const [id, job] of this.#jobs) if (!wanted.has(id)) this.#drop(id, job);
  }

  state(wish: TableWish): TableState<T> {
    return this.#jobs.get(idOf(wish))?.state ?? { reason: 'its artifact is not on its way', isPending: true };
  }

  /** Each came, or was tried in vain once. */
  async settled(): Promise<void> {
    await Promise.all([...this.#jobs.values()].map(({ first }) => first));
  }

  /** What was loaded is of no use any more, for this reason: it is tried again, as what failed. */
  lost(table: T, cause: unknown): void {
    const jobs = [...this.#jobs.values()].filter(({ state }) => 'table' in state && state.table === table);
    for (const job of jobs) this.#failed(job, cause, { isLost: true });
  }

  /** Tries again at once what failed with that code. */
  retryFailed(code: ErrorCode): void {
    for (const job of this.#jobs.values()) {
      if (job.failed !== code) continue;
      job.cancelRetry();
      void this.#try(job);
    }
  }

  close(): void {
    for (const [id, job] of this.#jobs) this.#end(id, job);
  }

  #drop(id: string, job: Job<T>): void {
    this.#end(id, job);
    if ('table' in job.state && !this.#held().has(job.state.table)) this.#parts.dropped?.(job.state.table);
  }

  #end(id: string, job: Job<T>): void {
    this.#jobs.delete(id);
    job.cancelRetry();
    job.abort.abort(
      new AdaptletError('REQUEST_CANCELLED', `classifier ${job.wish.key} is not wanted any more`),
    );
  }

  #begin(id: string, wish: TableWish): void {
    const job: Job<T> = {
      wish,
      abort: new AbortController(),
      state: this.#kept(wish) ?? { reason: 'its artifact is on its way', isPending: true },
      failed: undefined,
      failures: 0,
      isTrying: false,
      first: Promise.resolve(),
      cancelRetry: () => undefined,
    };
    this.#jobs.set(id, job);
    job.first = this.#try(job);
  }

  /** What the namespace has by another Secret. */
  #kept(wish: TableWish): TableState<T> | undefined {
    const right = withoutSecret(wish);
    for (const { wish: other, state } of this.#jobs.values())
      if ('table' in state && withoutSecret(other) === right) return state;
    return undefined;
  }

  /** One at a time: what goes on says itself how it ends. */
  async #try(job: Job<T>): Promise<void> {
    if (job.isTrying) return;
    job.isTrying = true;
    job.failed = undefined;
    try {
      await this.#load(job);
    } catch (cause) {
      if (!job.abort.signal.aborted) this.#failed(job, cause);
      return;
    } finally {
      job.isTrying = false;
    }
    if (job.abort.signal.aborted) return;
    // What was loaded before may have been lost meanwhile.
    if ('table' in job.state) {
      job.failed = undefined;
      job.cancelRetry();
    }
    this.#parts.changed();
  }

  /** `isLost`: nothing is left that could serve on. */
  #failed(job: Job<T>, cause: unknown, { isLost = false } = {}): void {
    const { key, digest } = job.wish;
    const { clock, log, random, changed } = this.#parts;
    const error = asAdaptletError(cause, `classifier ${key}`);
    if ('table' in job.state && !isLost)
      log.warn(
        { classifier: key, digest, err: error },
        'the artifact of a classifier could not be fetched anew; what is loaded serves on',
      );
    else {
      log.warn({ classifier: key, digest, err: error }, 'the artifact of a classifier is not here');
      job.state = { reason: `its artifact is not here: ${whyLacking(error)}` };
    }
    job.failed = error.code;
    job.failures += 1;
    job.cancelRetry();
    job.cancelRetry = clock.after(backoffMs(job.failures, random, delays), () => void this.#try(job));
    changed();
  }

  async #load(job: Job<T>): Promise<void> {
    const { artifacts } = this.#parts;
    const { wish } = job;
    const { signal } = job.abort;
    const { key, uid, source, digest, requirement } = wish;
    const asked = { key, uid, source };
    const { bytes: fileBytes } = await artifacts.fetch(asked, digest, {
      signal,
      admit: async ({ bytes }) => {
        if (bytes > maxArtifactBytes) {
          const what = `classifier ${key}: ${digest} has ${bytes} bytes, at most ${maxArtifactBytes} are taken`;
          throw new AdaptletError('ARTIFACT_TOO_LARGE', what);
        }
        if (requirement !== undefined) await artifacts.checkSigned(asked, digest, requirement, signal);
      },
    });
    await this.#reading.run(() => this.#read(job, fileBytes));
  }

  async #read(job: Job<T>, fileBytes: number): Promise<void> {
    const { artifacts, read, dropped, maxBytes = 128 * mebibyte } = this.#parts;
    const { key, digest } = job.wish;
    const { signal } = job.abort;
    signal.throwIfAborted();
    const loaded = this.#loaded(digest);
    // Whoever is read or dropped next knows of it.
    if (loaded !== undefined) {
      job.state = { table: loaded };
      return;
    }
    let table: T;
    try {
      table = await read({ key, digest, fileBytes }, signal);
    } catch (error) {
      // What rotted on the disk comes again with the next try.
      if (errorCodeOf(error) === 'ARTIFACT_CORRUPT') await artifacts.quarantine(digest, String(error));
      throw error;
    }
    const used = this.#usedBytes();
    if (used + table.bytes > maxBytes) {
      dropped?.(table);
      const what = `classifier ${key}: tables may take ${maxBytes} bytes of memory together, ${used} are in use and it needs ${table.bytes}`;
      throw new AdaptletError('ARTIFACT_TOO_LARGE', what, {
        advice: 'Use one table for several classifiers, or distil it with fewer dimensions.',
      });
    }
    if (!signal.aborted) job.state = { table };
    else dropped?.(table);
  }

  /** The table of a digest that is in memory already. */
  #loaded(digest: Digest): T | undefined {
    for (const { wish, state } of this.#jobs.values())
      if (wish.digest === digest && 'table' in state) return state.table;
    return undefined;
  }

  #usedBytes(): number {
    return [...this.#held()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #held(): ReadonlySet<T> {
    return new Set([...this.#jobs.values()].flatMap(({ state }) => ('table' in state ? [state.table] : [])));
  }
}
