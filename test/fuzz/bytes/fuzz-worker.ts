/** The thread in which one target is run with changed examples, until its time is over. */
import { createHash } from 'node:crypto';
import { getHeapStatistics } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import { corpusOf } from './corpus.ts';
import { execute, type Verdict } from './judge.ts';
import { byteMutators, maxInputBytes } from './mutators/bytes.ts';
import { Choices } from './mutators/choices.ts';
import type { Finding, Order, Tally } from './run.ts';
import { SharedInput } from './shared-input.ts';
import { shrink } from './shrink.ts';
import { limits, type Target } from './target.ts';
import { targetNamed } from './targets.ts';

/** Inputs that gave something new, beside the examples. */
const maxKept = 512;
/** Findings that are told apart; after so many a run says enough. */
const maxFindings = 10;

const heldBytes = (): number => {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics();
  return heap + external;
};

const seedOf = (target: string, seed: number): number =>
  createHash('sha256').update(`${target} ${seed}`).digest().readUIntLE(0, 6);

class Run {
  readonly #target: Target;
  readonly #choices: Choices;
  readonly #shared: SharedInput;
  readonly #pool: Uint8Array[];
  readonly #marks = new Set<string>();
  readonly #examples: number;
  /** Of inputs that are kept. */
  readonly #longest: number;
  readonly tally: Tally = { executions: 0, accepted: 0, outcomes: 0, slowestMs: 0, mostBytes: 0 };
  readonly findings: Finding[] = [];

  constructor(target: Target, seed: number, shared: SharedInput) {
    this.#target = target;
    this.#choices = new Choices(seedOf(target.name, seed));
    this.#shared = shared;
    this.#pool = [...target.examples(), ...corpusOf(target.name).map(({ bytes }) => bytes)].filter(
      ({ length }) => length <= maxInputBytes,
    );
    this.#examples = this.#pool.length;
    this.#longest = 4096 + 2 * Math.max(...this.#pool.map(({ length }) => length));
  }

  /** Everything as it is, then changed ones until the end. */
  async until(end: number, most: number): Promise<void> {
    for (const example of this.#pool.slice(0, this.#examples)) await this.#one(example);
    while (performance.now() < end && this.tally.executions < most && this.findings.length < maxFindings)
      await this.#one(this.#changed());
  }

  #changed(): Uint8Array {
    const { mutators } = this.#target;
    const other = (): Uint8Array => this.#choices.pick(this.#pool);
    let bytes = other();
    for (let left = this.#choices.small(4); left > 0; left--) {
      const isStructured = mutators.length > 0 && this.#choices.chance(0.5);
      bytes = this.#choices.pick(isStructured ? mutators : byteMutators)(bytes, this.#choices, other);
    }
    return bytes.length > maxInputBytes ? bytes.subarray(0, maxInputBytes) : bytes;
  }

  async #one(bytes: Uint8Array): Promise<void> {
    this.#shared.begin(bytes);
    const held = heldBytes();
    const begun = performance.now();
    const running = execute(this.#target, bytes);
    const verdict = running instanceof Promise ? await running : running;
    const tookMs = performance.now() - begun;
    const grown = heldBytes() - held;
    const { tally } = this;
    tally.executions += 1;
    if (verdict.kind === 'accepted') tally.accepted += 1;
    tally.slowestMs = Math.max(tally.slowestMs, tookMs);
    tally.mostBytes = Math.max(tally.mostBytes, grown);
    const { maxMs = limits.maxMs, maxBytes = limits.maxBytes } = this.#target;
    if (verdict.kind === 'found') await this.#found(verdict, bytes);
    else if (tookMs > maxMs)
      await this.#found({ kind: 'found', mark: 'slow', what: `took ${Math.round(tookMs)} ms` }, bytes);
    else if (grown > maxBytes)
      await this.#found({ kind: 'found', mark: 'memory', what: `left ${grown} bytes` }, bytes);
    else this.#keepNew(`${verdict.kind} ${verdict.mark}`, bytes);
  }

  #keepNew(mark: string, bytes: Uint8Array): void {
    if (this.#marks.has(mark) || this.#marks.size > 20_000) return;
    this.#marks.add(mark);
    this.tally.outcomes = this.#marks.size;
    // A run of long inputs has few executions.
    if (bytes.length > this.#longest) return;
    if (this.#pool.length < this.#examples + maxKept) this.#pool.push(bytes);
    else this.#pool[this.#examples + this.#choices.below(maxKept)] = bytes;
  }

  async #found(verdict: Extract<Verdict, { kind: 'found' }>, bytes: Uint8Array): Promise<void> {
    if (this.findings.some(({ mark }) => mark === verdict.mark)) return;
    const { mark, what } = verdict;
    const isRepeatable = mark !== 'slow' && mark !== 'memory';
    const input = isRepeatable
      ? await shrink(this.#target, bytes, verdict, (each) => this.#shared.beginAgain(each))
      : bytes;
    this.findings.push({ target: this.#target.name, mark, what, input });
  }
}

const { target, seed, ms, executions, memory } = workerData as Order;
const run = new Run(targetNamed(target), seed, new SharedInput(memory));
await run.until(performance.now() + ms, executions);
// oxlint-disable-next-line unicorn/require-post-message-target-origin
parentPort?.postMessage({ tally: run.tally, findings: run.findings });
