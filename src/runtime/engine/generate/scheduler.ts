import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import type { EngineLoad } from '../engine.ts';
import { closing } from '../failures.ts';
import type { Ending } from '../host/engine-host.ts';
import type { Mutex } from '../mutex.ts';
import { CompletionRate, retryAfterMs } from '../schedule/completion-rate.ts';
import { FairQueue, type Flow, loadCost, overdueMs } from '../schedule/fair-queue.ts';
import { FillPace } from '../schedule/fill-pace.ts';
import { type Running, standing, victimForRoom, victimsFor, type Waiting } from '../schedule/preemption.ts';
import { AloneTurn } from './alone-turn.ts';
import type { Outcome } from './running-batch.ts';
import type { Batch, Entry, Schedulable } from './schedulable.ts';

export type SchedulerOptions<S> = {
  readonly batch: Batch<S>;
  /** Sequences that have a place, and sequences that wait for one. */
  readonly maxConcurrent: number;
  readonly maxQueue: number;
  /** Milliseconds that a prompt may keep the others from their next token. */
  readonly maxDecodeStallMs: number;
  readonly steps: Mutex;
  readonly clock: Clock;
};

/** Service is counted in tokens: one of a prompt is cheaper than one of an answer (Sheng et al., OSDI 2024). */
const answerTokenCost = 2;

/**
 * Decides who runs: places go to those that wait by {@link FairQueue}, if need be from those that have had more
 * ({@link victimsFor}); steps alternate between one for all that decode and a piece of one prompt. When those that run
 * grow and there is no room for it, one of them waits again ({@link victimForRoom}).
 *
 * Who comes late waits for little of others' prompts. Prompts that their namespaces are sure to run take every other piece at least,
 * whatever those had; else the prompt of whoever had less goes first. Such a piece goes right after one of another prompt, so that
 * those who decode wait for two pieces at most; and a piece makes way for a newcomer that its namespace is sure to run, once, and is
 * computed again.
 *
 * A sequence whose caller does not take its events sits out, but keeps its place until another adapter is overdue.
 *
 * Guarantees: `ended` is called once per sequence, and no step of it runs after that.
 */
export class Scheduler<S extends Schedulable> {
  readonly #options: SchedulerOptions<S>;
  readonly #queue: FairQueue<Entry<S>>;
  /** In the order in which they got their places. */
  readonly #running: Entry<S>[] = [];
  readonly #alone: AloneTurn<S>;
  readonly #pace: FillPace;
  readonly #completions: CompletionRate;
  #pumping = false;
  #stopped = false;
  /** Whose prompts had a step since the last one for all that decode. */
  #filled: readonly Flow[] = [];
  /** The last one was of a prompt that its namespace is sure to run. */
  #filledSure = false;
  /** The namespace of the last such piece. */
  #lastSure: string | undefined;
  /** Whose prompt has the present step. */
  #filling: Entry<S> | undefined;
  #preemptions = 0;
  #overdueTurns = 0;
  #cancelLook: () => void = () => undefined;

  constructor(options: SchedulerOptions<S>) {
    this.#options = options;
    const now = (): number => options.clock.monotonic();
    this.#queue = new FairQueue({ maxLength: options.maxQueue, now });
    this.#alone = new AloneTurn({ queue: this.#queue, running: this.#running, batch: options.batch, now });
    this.#pace = new FillPace(options.maxDecodeStallMs);
    this.#completions = new CompletionRate(options.clock);
  }

  /** What it does at the moment, and did so far. */
  get load(): Pick<EngineLoad, 'running' | 'waiting' | 'preemptions' | 'overdueTurns' | 'fairness'> {
    return {
      running: this.#running.length,
      waiting: this.#queue.size,
      preemptions: this.#preemptions,
      overdueTurns: this.#overdueTurns,
      fairness: this.#queue.fairness,
    };
  }

  get size(): number {
    return this.#running.length + this.#queue.size;
  }

  /**
   * A request of a tenant that fills the queue ends
   * with QUEUE_FULL when another tenant's needs its place in it.
   * @throws QUEUE_FULL, ENGINE_DOWN after `stop`, before anything was done
   */
  submit(sequence: S, ended: (ending: Ending) => void): void {
    if (this.#stopped) throw closing('The engine is closing');
    const entry: Entry<S> = { flow: sequence.flow, sequence, ended, tokens: 0 };
    const { maxConcurrent, maxQueue } = this.#options;
    // Those for whom a place is free, and those who leave, wait no longer than the present step.
    const leaving = this.#all().filter((other) => other.sequence.cancelled).length;
    const free = Math.max(0, maxConcurrent - this.#running.length);
    const dropped = this.#queue.push(entry, maxQueue + free + leaving);
    if (dropped === entry) throw this.#full();
    // Done already, whatever becomes of it.
    this.#queue.charge(entry.flow, loadCost(sequence.loadedBytes));
    dropped?.ended({ kind: 'failed', error: this.#full() });
    this.#hurry(entry);
    this.#wake();
  }

  /** Ends it, within the present step. */
  cancel(id: number): void {
    const entry = this.#find(id);
    if (entry === undefined) return;
    entry.sequence.cancel();
    this.#options.batch.interrupt(entry.sequence);
    this.#wake();
  }

  taken(id: number, events: number): void {
    this.#find(id)?.sequence.taken(events);
    this.#wake();
  }

  /** Cancels everything; nothing runs after the present step. */
  stop(): void {
    this.#stopped = true;
    this.#cancelLook();
    for (const { sequence } of this.#all()) {
      sequence.cancel();
      this.#options.batch.interrupt(sequence);
    }
    this.#wake();
  }

  #all(): readonly Entry<S>[] {
    return [...this.#running, ...this.#queue.items()];
  }

  #find(id: number): Entry<S> | undefined {
    return this.#all().find(({ sequence }) => sequence.id === id);
  }

  #full(): AdaptletError {
    const after = retryAfterMs(this.#queue.size, this.#completions.perSecond);
    return new AdaptletError('QUEUE_FULL', `${this.size} requests run or wait in the engine`, {
      retryAfterMs: after,
    });
  }

  #wake(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    // A step never rejects: it reports through `ended`. What comes here is a defect and ends the process.
    void this.#pump();
  }

  async #pump(): Promise<void> {
    // What was submitted together is admitted together.
    await Promise.resolve();
    for (;;) {
      this.#dropCancelled();
      this.#grow();
      this.#admit();
      const step = this.#pick();
      if (step === undefined) break;
      await this.#options.steps.run(step);
    }
    this.#pumping = false;
    this.#lookLater();
  }

  /** Nothing wakes it while all that run wait for their callers: who waits behind them may be overdue by then. */
  #lookLater(): void {
    this.#cancelLook();
    this.#cancelLook = () => undefined;
    if (this.#queue.size === 0 || this.#stopped) return;
    this.#cancelLook = this.#options.clock.after(overdueMs + 1, () => this.#wake());
  }

  #dropCancelled(): void {
    for (const entry of this.#all().filter(({ sequence }) => sequence.cancelled)) {
      this.#end(entry, { kind: 'cancelled' }, true);
    }
  }

  /** Gives places to those that wait, as far as there are any, or as others have to make way. */
  #admit(): void {
    while (!this.#stopped) {
      const next = this.#alone.whose ?? this.#queue.next();
      if (next === undefined || this.#running.includes(next)) return;
      if (!this.#start(next) && !this.#startOwed(next)) return;
    }
  }

  /** Memory that a namespace is sure to have does not wait behind who wants other memory, but for his {@link AloneTurn}. */
  #startOwed(blocked: Entry<S>): boolean {
    if (this.#running.length >= this.#options.maxConcurrent) return false;
    if (this.#alone.beginWaiting(blocked)) return this.#pauseStanding();
    const sure = this.#queue.items().filter(({ flow }) => (flow.kvGuaranteed ?? 0) > 0);
    const namespaces = new Set(sure.map(({ flow }) => flow.namespace));
    namespaces.delete(blocked.flow.namespace);
    return [...namespaces].some((namespace) => {
      const first = this.#queue.next(({ flow }) => flow.namespace === namespace);
      return first !== undefined && this.#options.batch.isOwed(first.sequence) && this.#start(first);
    });
  }

  /** Where all that run wait for their callers, who waits for them to end would do so for ever. */
  #pauseStanding(): boolean {
    if (this.#running.some(({ sequence }) => sequence.runnable)) return false;
    return this.#running.slice().filter((entry) => this.#pause(entry)).length > 0;
  }

  #start(next: Entry<S>): boolean {
    const isOverdue = this.#queue.isOverdue(next);
    const isAlone = !this.#options.batch.fitsBeside(next.sequence, []);
    if (!this.#makePlace(next, isOverdue)) return false;
    if (isAlone) this.#alone.beginRunning(next);
    if (isOverdue) this.#overdueTurns += 1;
    // Of one that comes back: what is not there any more.
    this.#queue.started(next, next.sequence.pending - (next.tokens === 0 ? 0 : 1));
    next.tokens = 0;
    this.#running.push(next);
    return true;
  }

  /**
   * Room for the next step of all that run. Whoever gets a place has room for some tokens, and all others with it, so who
   * makes way has given some since then: each time the answers come nearer to their ends.
   */
  #grow(): void {
    const { batch } = this.#options;
    for (;;) {
      const short = this.#running.find(({ sequence }) => !batch.grow(sequence));
      if (short === undefined) return;
      const running = this.#candidates();
      const victim = victimForRoom(running, (a, b) => this.#queue.beyond(a, b));
      this.#pause(standing(running) ?? victim ?? short);
    }
  }

  #pause(entry: Entry<S>): boolean {
    const { pending } = entry.sequence;
    if (!this.#options.batch.pause(entry.sequence)) return false;
    this.#refund(entry, pending);
    this.#running.splice(this.#running.indexOf(entry), 1);
    this.#queue.pushBack(entry);
    this.#preemptions += 1;
    return true;
  }

  /** Those that could make way for who waits. */
  #candidates(): readonly Running<Entry<S>>[] {
    return this.#running.map((entry) => ({
      sequence: entry,
      flow: entry.flow,
      tokens: entry.tokens,
      stalled: !entry.sequence.runnable,
      filling: entry.sequence.pending > 1,
      kvBytes: this.#options.batch.kvBytes(entry.sequence),
    }));
  }

  #makePlace(next: Entry<S>, isOverdue: boolean): boolean {
    const { batch, maxConcurrent } = this.#options;
    if (this.#running.length < maxConcurrent && batch.place(next.sequence)) return true;
    const lacksMemory = this.#running.length < maxConcurrent;
    const waiting: Waiting = {
      flow: next.flow,
      isOverdue,
      lacks: lacksMemory ? 'memory' : 'row',
      isOwedMemory: lacksMemory && batch.isOwed(next.sequence),
    };
    const victims = victimsFor(waiting, this.#candidates(), (a, b) => this.#queue.beyond(a, b));
    const sequences = victims.map(({ sequence }) => sequence);
    if (victims.length === 0 || !batch.fitsWithout(next.sequence, sequences)) return false;
    for (const victim of victims) {
      if (this.#pause(victim) && batch.place(next.sequence)) return true;
    }
    return false;
  }

  /** Ends the piece of a prompt that has the present step, as the prompt of a newcomer is sure to be next. */
  #hurry(newcomer: Entry<S>): void {
    const filling = this.#filling;
    if (filling === undefined || filling === this.#alone.whose) return;
    if (!this.#queue.isOwed(newcomer) || this.#isSure(filling)) return;
    const { sequence } = filling;
    if (filling.gaveWayAt === sequence.pending) return;
    filling.gaveWayAt = sequence.pending;
    this.#options.batch.interrupt(sequence);
  }

  /** No more of its namespace run than are guaranteed to it. */
  #isSure({ flow: { namespace, guaranteed = 0 } }: Entry<S>): boolean {
    return this.#running.filter(({ flow }) => flow.namespace === namespace).length <= guaranteed;
  }

  /** The next step: prompts and tokens take turns. */
  #pick(): (() => Promise<void>) | undefined {
    const ready = this.#running.filter(({ sequence }) => sequence.runnable);
    const decoding = ready.filter(({ sequence }) => sequence.pending === 1);
    const filling = this.#nextToFill(ready.filter(({ sequence }) => sequence.pending > 1));
    if (filling !== undefined && (decoding.length === 0 || this.#mayFill(filling))) {
      return () => this.#fill(filling);
    }
    return decoding.length === 0 ? undefined : () => this.#decode(decoding);
  }

  /** Right after the piece of another prompt: once. */
  #mayFill(entry: Entry<S>): boolean {
    const [first, ...others] = this.#filled;
    if (first === undefined || others.length > 0) return first === undefined;
    return (this.#isSure(entry) && !this.#filledSure) || this.#queue.beyond(entry.flow, first) < 0;
  }

  /**
   * Whose prompt goes on: in turns one that is sure to run and another one, of the former of each namespace in turns, then of the
   * highest priority, of that whoever had least.
   */
  #nextToFill(entries: readonly Entry<S>[]): Entry<S> | undefined {
    const inTurn = entries.filter((entry) => this.#isSure(entry) !== this.#filledSure);
    const hadTurn = (entry: Entry<S>): boolean =>
      this.#isSure(entry) && entry.flow.namespace === this.#lastSure;
    const [first] = (inTurn.length === 0 ? entries : inTurn).toSorted(
      (a, b) =>
        Number(hadTurn(a)) - Number(hadTurn(b)) ||
        b.flow.priority - a.flow.priority ||
        this.#queue.beyond(a.flow, b.flow),
    );
    return first;
  }

  async #fill(entry: Entry<S>): Promise<void> {
    const { batch, clock } = this.#options;
    const { sequence } = entry;
    this.#filled = [...this.#filled, entry.flow].slice(-2);
    this.#filledSure = this.#isSure(entry);
    if (this.#filledSure) this.#lastSure = entry.flow.namespace;
    const charged = sequence.pending;
    batch.reuse(sequence);
    const before = sequence.pending;
    this.#queue.refund(entry.flow, charged - before);
    const started = clock.monotonic();
    this.#filling = entry;
    const outcome = await batch.fill(sequence, this.#pace.max);
    this.#filling = undefined;
    if (this.#madeWay(entry, outcome, before)) return;
    if (outcome.kind !== 'failed' && sequence.isScored !== true)
      this.#pace.ran(Math.min(before, this.#pace.max), clock.monotonic() - started);
    this.#gave(entry, outcome, { usual: 0 });
  }

  /** The step ended by that, with nothing done: whatever else failed in it fails again when it is computed again. */
  #madeWay({ sequence, gaveWayAt }: Entry<S>, { kind }: Outcome, before: number): boolean {
    return kind === 'failed' && gaveWayAt === before && sequence.pending === before && !sequence.cancelled;
  }

  async #decode(entries: readonly Entry<S>[]): Promise<void> {
    this.#filled = [];
    const outcomes = await this.#options.batch.decode(entries.map(({ sequence }) => sequence));
    for (const entry of entries)
      this.#gave(entry, outcomes.get(entry.sequence) ?? { kind: 'goes-on' }, { usual: 1 });
  }

  #gave(entry: Entry<S>, outcome: Outcome, { usual }: { readonly usual: number }): void {
    const { pending } = entry.sequence;
    const { tokens = usual } = outcome;
    entry.tokens += tokens;
    // More than one: its keys have to be computed again, or some came that could only follow.
    const more = outcome.kind === 'goes-on' && tokens > 0 && pending > 1 ? pending : 0;
    this.#queue.charge(entry.flow, answerTokenCost * tokens + more);
    this.#settle(entry, outcome);
  }

  /** The prompt was charged as a whole: what is left of it will not be computed now. The next token of an answer was not. */
  #refund(entry: Entry<S>, pending: number): void {
    if (pending > 1) this.#queue.refund(entry.flow, pending - 1);
  }

  #settle(entry: Entry<S>, outcome: Outcome): void {
    if (outcome.kind === 'goes-on') return;
    if (outcome.kind === 'complete') this.#completions.count();
    // Whoever was cancelled while the step ran hears of that, not of how the step ended.
    const own: Ending = outcome.kind === 'failed' ? outcome : { kind: 'complete' };
    this.#end(entry, entry.sequence.cancelled ? { kind: 'cancelled' } : own, outcome.kind === 'complete');
  }

  /** `areGood`: its keys and values; what a failed step computed is not to be built upon. */
  #end(entry: Entry<S>, ending: Ending, areGood: boolean): void {
    const index = this.#running.indexOf(entry);
    if (index >= 0) {
      this.#refund(entry, entry.sequence.pending);
      this.#running.splice(index, 1);
      this.#queue.ended(entry);
    } else this.#queue.remove(entry);
    this.#options.batch.leave(entry.sequence, areGood);
    entry.ended(ending);
  }
}
