import { rm } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { makeScratch } from './scratch.ts';
import { SharedInput } from './shared-input.ts';
import { limits, type Target } from './target.ts';

/** What a worker is told. */
export type Order = {
  readonly target: string;
  readonly seed: number;
  readonly ms: number;
  readonly executions: number;
  readonly memory: SharedArrayBuffer;
  /** A folder for files, which the run removes. */
  readonly scratch: string;
};

export type Tally = {
  executions: number;
  accepted: number;
  /** Kinds of answers that differ by more than numbers and quoted text. */
  outcomes: number;
  slowestMs: number;
  /** Most bytes that one execution left in the heap and in buffers. */
  mostBytes: number;
};

/** Something that must not be, and the shortest input that was found for it. */
export type Finding = {
  readonly target: string;
  readonly mark: string;
  readonly what: string;
  readonly input: Uint8Array;
};

export type Outcome = { readonly tally: Tally; readonly findings: readonly Finding[] };

/** Time for a worker to load its modules and read its examples. */
const startMs = 60_000;
const lookMs = 100;

const nothing: Tally = { executions: 0, accepted: 0, outcomes: 0, slowestMs: 0, mostBytes: 0 };

type End =
  | ({ readonly kind: 'done' } & Outcome)
  | { readonly kind: 'hung' }
  | { readonly kind: 'failed'; readonly error: Error };

/** Watches a worker to its end: it is done, fails as a whole, or does the same for too long and is ended. */
const ended = async (worker: Worker, shared: SharedInput, maxMs: number): Promise<End> => {
  const { promise, resolve } = Promise.withResolvers<End>();
  worker.once('message', (outcome: Outcome) => resolve({ kind: 'done', ...outcome }));
  worker.once('error', (error: Error) => resolve({ kind: 'failed', error }));
  worker.once('exit', (code) =>
    resolve({ kind: 'failed', error: new Error(`the worker ended with ${code}`) }),
  );
  let seen = 0;
  let since = performance.now();
  const look = setInterval(() => {
    if (shared.pulse !== seen) {
      seen = shared.pulse;
      since = performance.now();
    } else if (performance.now() - since > (seen === 0 ? startMs : maxMs)) resolve({ kind: 'hung' });
  }, lookMs);
  const end = await promise;
  clearInterval(look);
  await worker.terminate();
  return end;
};

export type RunOptions = {
  readonly seed: number;
  readonly ms: number;
  /** Most executions; a run may end before its time. */
  readonly executions?: number;
  /** Of the heap of the thread. Default: {@link limits}. */
  readonly heapMegabytes?: number;
};

/**
 * Runs a target with changed examples in a thread of its own. An execution that hangs or takes all memory ends the thread and
 * is found; another thread, with the next seed, has the time that is left.
 */
export const runTarget = async (
  { name, maxMs = limits.maxMs }: Pick<Target, 'name' | 'maxMs'>,
  { seed, ms, executions = Infinity, heapMegabytes = limits.heapMegabytes }: RunOptions,
): Promise<Outcome> => {
  const until = performance.now() + ms;
  const tally = { ...nothing };
  const findings: Finding[] = [];
  for (let turn = 0; turn < 3; turn++) {
    const left = until - performance.now();
    if (turn > 0 && left < lookMs) break;
    const shared = new SharedInput();
    const scratch = makeScratch();
    const order: Order = {
      target: name,
      seed: seed + turn,
      ms: left,
      executions,
      memory: shared.memory,
      scratch,
    };
    const worker = new Worker(new URL('./fuzz-worker.ts', import.meta.url), {
      workerData: order,
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
    });
    const end = await ended(worker, shared, maxMs);
    await rm(scratch, { recursive: true, force: true });
    if (end.kind === 'done') {
      tally.executions += end.tally.executions;
      tally.accepted += end.tally.accepted;
      tally.outcomes = Math.max(tally.outcomes, end.tally.outcomes);
      tally.slowestMs = Math.max(tally.slowestMs, end.tally.slowestMs);
      tally.mostBytes = Math.max(tally.mostBytes, end.tally.mostBytes);
      findings.push(...end.findings);
      break;
    }
    tally.executions += shared.count;
    const what =
      end.kind === 'hung' ? `hangs: more than ${maxMs} ms` : `ends the thread: ${end.error.message}`;
    findings.push({ target: name, mark: what, what, input: shared.input() });
  }
  return { tally, findings };
};
