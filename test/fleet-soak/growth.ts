import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bytesBelow } from '../../src/disk/bytes-below.ts';
import { lineThrough } from '../bench/fleet/fit.ts';
import { childrenCalled } from '../bench/fleet/processes.ts';
import { childrenOf } from '../bench/process-memory.ts';
import type { Stage } from './stage.ts';

const everyMs = 10_000;
/** A collection takes some hundred milliseconds of a process. */
const collectEvery = 6;
/**
 * What may be gained in the last two thirds of a run: a share of the mean, or so much if that is more. V8 collects late where
 * there is memory: an engine with 20 MiB of live objects was seen with a heap of 20 and of 160 MiB.
 */
const allowed = {
  rssMib: { share: 0.1, least: 32 },
  // Without pages of files, which the kernel may take back: only said.
  anonMib: undefined,
  // In use after a collection, of those that were started to say it.
  heapMib: { share: 0.1, least: 16 },
  // What V8 keeps then, to tell it from memory that others than V8 ask for: only said.
  keptMib: undefined,
  files: { share: 0, least: 10 },
  // A replica that begins to lead has all streams, and twice the connections to the API server.
  sockets: { share: 0, least: 64 },
  threads: { share: 0, least: 4 },
  folderMib: { share: 0.1, least: 5 },
} as const;
export type Measure = keyof typeof allowed;
/** Before that a process still grows to its working set. */
const judgedFromMinutes = 20;

type Sample = { readonly at: number; readonly pid: number; readonly value: number };

/** How one number of one process went over the last two thirds of a run. */
export type Fit = {
  readonly what: string;
  readonly measure: Measure;
  readonly samples: number;
  readonly mean: number;
  readonly most: number;
  /** Of the line with the least squares. */
  readonly perHour: number;
  /** By that line, from the first to the last of these samples. */
  readonly gained: number;
  /** What it may gain; absent: it is not judged, because the process did not live that long. */
  readonly limit?: number;
};

/** What a process has open. */
const openOf = async (pid: number): Promise<{ readonly files: number; readonly sockets: number }> => {
  const folder = `/proc/${pid}/fd`;
  // Some are closed meanwhile.
  const all = await Promise.all(
    (await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => '')),
  );
  const sockets = all.filter((target) => target.startsWith('socket:')).length;
  return { files: all.filter((target) => target !== '').length - sockets, sockets };
};

/** The fit of samples of one thing, of which `from` to `to` is the time that counts. */
export const fitOf = (
  what: string,
  measure: Measure,
  samples: readonly Sample[],
  { from, to, isJudged }: { readonly from: number; readonly to: number; readonly isJudged: boolean },
): Fit | undefined => {
  const pid = samples.at(-1)?.pid;
  const counted = samples.filter((sample) => sample.pid === pid && sample.at >= from);
  const [first, last] = [counted[0], counted.at(-1)];
  if (first === undefined || last === undefined || counted.length < 3) return undefined;
  const values = counted.map(({ value }) => value);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const { slope } = lineThrough(counted.map(({ at, value }) => [at, value] as const));
  const isWhole = last.at - first.at >= 0.9 * (to - from);
  const limit = allowed[measure];
  return {
    what,
    measure,
    samples: counted.length,
    mean,
    most: Math.max(...values),
    perHour: slope * 3_600_000,
    gained: slope * (last.at - first.at),
    ...(limit !== undefined && isJudged && isWhole
      ? { limit: Math.max(limit.least, limit.share * mean) }
      : {}),
  };
};

/** Looks at memory, files, threads and folders. */
export class Growth {
  readonly #stage: Stage;
  readonly #samples = new Map<string, { what: string; measure: Measure; samples: Sample[] }>();

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let looks = 0; !signal.aborted; looks++) {
      await this.#look();
      if (looks % collectEvery === 0) await this.#collect();
      await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Of everything, and what grew more than it may. */
  fits(began: number): { readonly fits: readonly Fit[]; readonly grown: readonly Fit[] } {
    const to = this.#stage.story.now();
    const from = began + (to - began) / 3;
    const isJudged = to - began >= judgedFromMinutes * 60_000;
    const fits = [...this.#samples.values()].flatMap(({ what, measure, samples }) => {
      // The servers are not ours, and this process keeps all that it saw.
      const isOurs = !['kube-apiserver', 'etcd', 'soak'].includes(what);
      return fitOf(what, measure, samples, { from, to, isJudged: isJudged && isOurs }) ?? [];
    });
    const grown = fits.filter(({ gained, limit }) => limit !== undefined && gained > limit);
    return { fits, grown };
  }

  async #look(): Promise<void> {
    const { fleet, hollows } = this.#stage;
    const servers = await Promise.all(
      ['kube-apiserver', 'etcd'].map(async (name) => [name, (await childrenCalled(name))[0] ?? 0] as const),
    );
    const processes: (readonly [string, number])[] = [
      ...fleet.operators.map(({ identity, pid }) => [identity, pid] as const),
      ...fleet.nodes.map(({ pid }, i) => [`node-${i}`, pid] as const),
      ...hollows.pids.map((pid) => ['hollow runtimes', pid] as const),
      ['soak', process.pid],
      ...servers,
    ];
    for (const [what, pid] of processes) await this.#lookAt(what, pid);
    for (const [i, { pid, data }] of fleet.nodes.entries()) {
      const [engine] = await childrenOf(pid).catch(() => []);
      if (engine !== undefined) await this.#lookAt(`engine of node-${i}`, engine);
      // A folder lives on when its process does not.
      this.#add(`node-${i}`, 'folderMib', 0, (await bytesBelow(data)) / 2 ** 20);
    }
  }

  async #collect(): Promise<void> {
    const { fleet, hollows, heaps } = this.#stage;
    const processes: (readonly [string, number])[] = [
      ...fleet.operators.map(({ identity, pid }) => [identity, pid] as const),
      ...fleet.nodes.map(({ pid }, i) => [`node-${i}`, pid] as const),
      ...hollows.pids.map((pid) => ['hollow runtimes', pid] as const),
    ];
    for (const [i, { pid }] of fleet.nodes.entries())
      for (const engine of (await childrenOf(pid).catch(() => [])).slice(0, 1))
        processes.push([`engine of node-${i}`, engine]);
    for (const [what, pid] of processes) {
      const heap = await heaps.of(pid);
      if (heap === undefined) continue;
      this.#add(what, 'heapMib', pid, heap.inUse);
      this.#add(what, 'keptMib', pid, heap.kept);
    }
  }

  async #lookAt(what: string, pid: number): Promise<void> {
    try {
      const text = await readFile(`/proc/${pid}/status`, 'utf8');
      const of = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1]);
      if (!(of('VmRSS') > 0)) return;
      this.#add(what, 'rssMib', pid, of('VmRSS') / 1024);
      this.#add(what, 'anonMib', pid, of('RssAnon') / 1024);
      this.#add(what, 'threads', pid, of('Threads'));
      const { files, sockets } = await openOf(pid);
      this.#add(what, 'files', pid, files);
      this.#add(what, 'sockets', pid, sockets);
    } catch (error) {
      // It was killed meanwhile.
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  #add(what: string, measure: Measure, pid: number, value: number): void {
    const key = `${what} ${measure}`;
    const entry = this.#samples.get(key) ?? { what, measure, samples: [] };
    this.#samples.set(key, entry);
    entry.samples.push({ at: this.#stage.story.now(), pid, value });
  }
}
