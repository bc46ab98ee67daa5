import { FakeClock } from '../../../time/fake-clock.ts';
import type { Ending } from '../host/engine-host.ts';
import { Mutex } from '../mutex.ts';
import type { Flow } from '../schedule/fair-queue.ts';
import type { Outcome } from './running-batch.ts';
import type { Batch, Schedulable } from './schedulable.ts';
import { Scheduler } from './scheduler.ts';

export type FakeParts = {
  readonly prompt?: number;
  readonly answer?: number;
  readonly flow?: Partial<Flow>;
  /** The step that would give this token fails. */
  readonly failAt?: number;
  /** Events that its caller takes. */
  readonly window?: number;
  /** Tokens that a step gives it. */
  readonly perStep?: number;
  /** After so many tokens its keys and values are of no use any more. */
  readonly againAt?: number;
  readonly loadedBytes?: number;
  readonly isScored?: boolean;
};

/** A sequence that counts. */
export class FakeSequence implements Schedulable {
  readonly id: number;
  readonly flow: Flow;
  readonly promptTokens: number;
  readonly answer: number;
  readonly failAt: number;
  readonly againAt: number;
  readonly perStep: number;
  readonly loadedBytes: number;
  readonly isScored: boolean;
  cancelled = false;
  window: number;
  placed = false;
  given = 0;
  /** Tokens whose keys and values there are. */
  cached = 0;

  constructor(id: number, parts: FakeParts = {}) {
    const { prompt = 5, answer = 3, flow, failAt = 0 } = parts;
    const { window = Infinity, againAt = 0, perStep = 1, loadedBytes = 0, isScored = false } = parts;
    this.id = id;
    this.flow = { tenant: '', adapter: null, priority: 0, ...flow };
    this.promptTokens = prompt;
    this.answer = answer;
    this.failAt = failAt;
    this.againAt = againAt;
    this.perStep = perStep;
    this.window = window;
    this.loadedBytes = loadedBytes;
    this.isScored = isScored;
  }

  /** Tokens at most. */
  get size(): number {
    return this.promptTokens + this.answer;
  }
  get tokens(): number {
    return this.promptTokens + this.given;
  }
  /** Tokens that it has room for when somebody gets a place. */
  get roomy(): number {
    return Math.min(this.size, this.tokens + roomTokens);
  }
  get pending(): number {
    return this.promptTokens + this.given - (this.placed ? this.cached : 0);
  }
  get runnable(): boolean {
    return this.window > 0;
  }
  cancel(): void {
    this.cancelled = true;
  }
  taken(events: number): void {
    this.window += events;
  }
}

export type Room = {
  readonly rows: number;
  /** Tokens of all that have a place. */
  readonly tokens: number;
  /** What is guaranteed takes the rows of others also while their prompts are computed. */
  readonly pausesPrompts: boolean;
  readonly refusesPause: (sequence: FakeSequence) => boolean;
  /** Tokens that are left of a sequence that was paused. */
  readonly keeps: (sequence: FakeSequence) => number;
  /** Beginnings of those that are over stay, as far as they are guaranteed, and leave no room for other namespaces. */
  readonly keepsBeginnings: boolean;
};

/** As that of {@link KvMemory}; more than what whoever got a place gives before it may be taken away. */
const roomTokens = 10;

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/**
 * A batch with as much room as {@link RunningBatch} would say, where steps take a turn of the event loop. They throw when the
 * scheduler breaks a rule of theirs, which ends the test.
 */
export class FakeBatch implements Batch<FakeSequence> {
  readonly log: string[] = [];
  /** Sizes of the pieces of prompts. */
  readonly pieces: number[] = [];
  /** In the order in which they first got a place. */
  readonly firsts: number[] = [];
  readonly placed = new Set<FakeSequence>();
  readonly paused = new Set<FakeSequence>();
  /** Tokens that each has room for. */
  readonly #grown = new Map<FakeSequence, number>();
  /** By namespace, what is guaranteed to it and tokens that it keeps of those that are over, up to that. */
  readonly #sure = new Map<string, { readonly guaranteed: number; readonly kept: number }>();
  readonly over = new Set<FakeSequence>();
  /** Those whose keys and values may be built upon. */
  readonly good: number[] = [];
  readonly interrupted: number[] = [];
  msPerToken = 1;
  readonly #room: Room;
  readonly #clock: FakeClock;
  #running = false;
  /** Pieces of prompts since the last step for all that decode. */
  #filled = 0;
  #interrupted: FakeSequence | undefined;

  constructor(room: Room, clock: FakeClock) {
    this.#room = room;
    this.#clock = clock;
  }

  place(sequence: FakeSequence): boolean {
    this.#between();
    must(!this.placed.has(sequence) && !this.over.has(sequence), `${sequence.id} waits`);
    const kept = this.placed.size === 0 ? 0 : this.#keptBeside([...this.placed, sequence]);
    const claimed = kept + sum([...this.placed, sequence].map(({ roomy }) => roomy));
    if (this.placed.size >= this.#room.rows || claimed > this.#room.tokens) return false;
    if (this.paused.delete(sequence)) sequence.cached = Math.min(sequence.cached, this.#room.keeps(sequence));
    else this.firsts.push(sequence.id);
    this.placed.add(sequence);
    this.#grow(sequence);
    sequence.placed = true;
    return true;
  }

  /** What is kept makes way for it. */
  #grow(sequence: FakeSequence): void {
    this.#grown.set(sequence, sequence.tokens);
    for (const [namespace, { guaranteed, kept }] of this.#sure) {
      const all = sum([...this.#grown.values(), ...this.#sure.values().map((one) => one.kept)]);
      const left = Math.max(0, kept - Math.max(0, all - this.#room.tokens));
      this.#sure.set(namespace, { guaranteed, kept: left });
    }
  }

  /** What of beginnings leaves no room for others beside these rows. */
  #keptBeside(rows: readonly FakeSequence[]): number {
    const ofRows = (namespace: string): number =>
      sum(rows.filter(({ flow }) => flow.namespace === namespace).map(({ roomy }) => roomy));
    return sum(
      [...this.#sure].map(([namespace, { guaranteed, kept }]) =>
        Math.min(kept, Math.max(0, guaranteed - ofRows(namespace))),
      ),
    );
  }

  grow(sequence: FakeSequence): boolean {
    this.#between();
    must(this.placed.has(sequence), `${sequence.id} has a place`);
    const others = sum([...this.#grown].map(([one, tokens]) => (one === sequence ? 0 : tokens)));
    if (
      this.placed.size > 1 &&
      others + sequence.tokens + this.#keptBeside([...this.placed]) > this.#room.tokens
    )
      return false;
    must(others + sequence.tokens <= this.#room.tokens, `${sequence.id} has room by itself`);
    this.#grow(sequence);
    return true;
  }

  reuse(): void {
    this.#between();
  }

  leave(sequence: FakeSequence, areGood: boolean): void {
    this.#between();
    if (areGood) this.good.push(sequence.id);
    this.placed.delete(sequence);
    this.#grown.delete(sequence);
    this.paused.delete(sequence);
    this.over.add(sequence);
    const { namespace = '', kvGuaranteed: guaranteed = 0 } = sequence.flow;
    if (areGood && this.#room.keepsBeginnings && guaranteed > 0) {
      const { kept = 0 } = this.#sure.get(namespace) ?? {};
      const room = this.#room.tokens - sum([...this.#grown.values()]);
      this.#sure.set(namespace, { guaranteed, kept: Math.min(guaranteed, kept + sequence.tokens, room) });
    }
    sequence.placed = false;
  }

  fitsWithout(sequence: FakeSequence, others: readonly FakeSequence[]): boolean {
    const left = [...this.placed].filter((one) => !others.includes(one));
    return left.length === 0 || this.fitsBeside(sequence, left);
  }

  fitsBeside(sequence: FakeSequence, others: readonly FakeSequence[]): boolean {
    const rows = [...others, sequence];
    return this.#keptBeside(rows) + sum(rows.map(({ roomy }) => roomy)) <= this.#room.tokens;
  }

  kvBytes(sequence: FakeSequence): number {
    return Math.max(this.#grown.get(sequence) ?? 0, sequence.tokens);
  }

  isOwed(sequence: FakeSequence): boolean {
    const { namespace, kvGuaranteed = 0 } = sequence.flow;
    const own = [...this.placed, sequence].filter(({ flow }) => flow.namespace === namespace);
    return sum(own.map(({ roomy }) => roomy)) <= kvGuaranteed;
  }

  pause(sequence: FakeSequence): boolean {
    this.#between();
    must(this.placed.has(sequence), `${sequence.id} has a place`);
    const decodes = sequence.pending === 1 || sequence.cached === 0 || !sequence.runnable;
    must(decodes || this.#room.pausesPrompts, `${sequence.id} decodes`);
    if (this.#room.refusesPause(sequence)) return false;
    this.placed.delete(sequence);
    this.#grown.delete(sequence);
    this.paused.add(sequence);
    sequence.placed = false;
    this.log.push(`pause ${sequence.id}`);
    return true;
  }

  interrupt(sequence: FakeSequence): void {
    this.interrupted.push(sequence.id);
    this.#interrupted = sequence;
  }

  async fill(sequence: FakeSequence, max: number): Promise<Outcome> {
    must(this.#filled < 2 || this.#decoding().length === 0, 'prompts and tokens take turns');
    this.#filled += 1;
    this.#interrupted = undefined;
    const tokens = Math.min(max, sequence.pending);
    this.log.push(`fill ${sequence.id}`);
    this.pieces.push(tokens);
    await this.#step([sequence]);
    if (this.#interrupted === sequence) return { kind: 'failed', error: new Error('interrupted') };
    this.#clock.advance(tokens * this.msPerToken);
    sequence.cached += tokens;
    return sequence.pending === 0 ? give(sequence) : { kind: 'goes-on' };
  }

  async decode(sequences: readonly FakeSequence[]): Promise<ReadonlyMap<FakeSequence, Outcome>> {
    const decoding = this.#decoding();
    must(decoding.length === sequences.length, 'all that decode run in one step');
    for (const sequence of sequences) must(decoding.includes(sequence), `${sequence.id} decodes`);
    this.#filled = 0;
    this.log.push(`decode ${sequences.map(({ id }) => id).join(' ')}`);
    await this.#step(sequences);
    return new Map(
      sequences.map((sequence) => {
        const tokens = Math.min(sequence.perStep, sequence.answer - sequence.given);
        sequence.given += tokens - 1;
        sequence.cached += tokens;
        return [sequence, { ...give(sequence), tokens }];
      }),
    );
  }

  #decoding(): readonly FakeSequence[] {
    return [...this.placed].filter(({ pending, runnable }) => pending === 1 && runnable);
  }

  async #step(sequences: readonly FakeSequence[]): Promise<void> {
    this.#between();
    for (const sequence of sequences) {
      must(this.placed.has(sequence), `${sequence.id} has a place`);
      must(this.#grown.get(sequence) === sequence.tokens, `${sequence.id} has room for the step`);
      must(sequence.runnable && !sequence.cancelled, `${sequence.id} may run`);
    }
    this.#running = true;
    await new Promise(setImmediate);
    this.#running = false;
  }

  #between(): void {
    must(!this.#running, 'nothing changes during a step');
  }
}

const must = (holds: boolean, rule: string): void => {
  if (!holds) throw new Error(`broken rule: ${rule}`);
};

const give = (sequence: FakeSequence): Outcome => {
  if (sequence.given + 1 === sequence.failAt) return { kind: 'failed', error: new Error('broken') };
  sequence.given += 1;
  if (sequence.given === sequence.againAt) sequence.cached = 0;
  sequence.window -= 1;
  return { kind: sequence.given === sequence.answer ? 'complete' : 'goes-on' };
};

/** Lets steps run. */
export const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
};

export type StartOptions = Partial<Room> & {
  readonly maxConcurrent?: number;
  readonly maxQueue?: number;
  readonly maxDecodeStallMs?: number;
};

/** A scheduler over such a batch. */
export const startScheduler = (options: StartOptions = {}) => {
  const { maxConcurrent = 8, maxQueue = 8, maxDecodeStallMs = 100 } = options;
  const { rows = maxConcurrent, tokens = Infinity } = options;
  const { refusesPause = () => false, keeps = () => Infinity, pausesPrompts = false } = options;
  const { keepsBeginnings = false } = options;
  const clock = new FakeClock();
  const room = { rows, tokens, refusesPause, pausesPrompts, keeps, keepsBeginnings };
  const batch = new FakeBatch(room, clock);
  const endings = new Map<number, Ending>();
  const scheduler = new Scheduler<FakeSequence>({
    batch,
    maxConcurrent,
    maxQueue,
    maxDecodeStallMs,
    steps: new Mutex(),
    clock,
  });
  const submit = (sequence: FakeSequence): FakeSequence => {
    scheduler.submit(sequence, (ending) => {
      must(!endings.has(sequence.id), `${sequence.id} ends once`);
      endings.set(sequence.id, ending);
    });
    return sequence;
  };
  /** Lets everything run that can. */
  const settle = async (): Promise<void> => {
    for (let before = -1; before !== batch.log.length; ) {
      before = batch.log.length;
      await turns(4);
    }
  };
  const kinds = (): Readonly<Record<number, Ending['kind']>> =>
    Object.fromEntries([...endings].map(([id, { kind }]) => [id, kind]));
  return { clock, batch, scheduler, submit, settle, endings, kinds, log: batch.log };
};
