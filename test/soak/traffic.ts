import { setTimeout as sleep } from 'node:timers/promises';
import type { FinishReason } from '../../src/runtime/engine/engine.ts';
import { compare, type Received } from './compare.ts';
import type { Asked, Reference } from './reference.ts';
import type { Report } from './report.ts';
import type { Plan, Reader } from './requests.ts';

/** Part of an answer. `adapter`: what made it, null for the base model. */
export type Part = { readonly adapter: string | null } & (
  | { readonly kind: 'token'; readonly ids: readonly number[]; readonly text: string }
  | {
      readonly kind: 'done';
      readonly finish: FinishReason;
      readonly promptTokens: number;
      readonly completionTokens: number;
      /** Of the prompt, taken from an earlier turn. */
      readonly cachedTokens: number;
    }
);

/** What is under test: an engine, or a whole node. */
export type Subject<Target> = {
  /** Sends a request; the signal cancels it. */
  readonly open: (plan: Plan, target: Target, signal: AbortSignal) => AsyncIterable<Part>;
  /** The code of a failed request; undefined: it failed in a way that it must not. */
  readonly codeOf: (error: unknown) => string | undefined;
};

export type TrafficParts<Target> = {
  readonly subject: Subject<Target>;
  readonly reference: Reference;
  readonly report: Report;
  readonly contextLength: number;
  readonly finished: (plan: Plan, ids: readonly number[], adapter: string | null) => void;
};

/** What a reader has of an answer so far. */
type Reading = {
  ids: number[];
  text: string;
  adapter: string | null;
  done?: Extract<Part, { kind: 'done' }>;
};

/** Sends requests to what is under test and compares what comes. */
export class Traffic<Target> {
  readonly #parts: TrafficParts<Target>;
  #atOnce = 0;

  constructor(parts: TrafficParts<Target>) {
    this.#parts = parts;
  }

  /** Resolves once the answer came and was compared. `ended` is called when no more of it comes. */
  async send(plan: Plan, target: Target, ended: () => void): Promise<void> {
    const { counts } = this.#parts.report;
    counts.requests += 1;
    if (plan.reader.kind === 'slow') counts.slowReaders += 1;
    if (plan.isTurn) counts.turns += 1;
    this.#atOnce += 1;
    counts.mostAtOnce = Math.max(counts.mostAtOnce, this.#atOnce);
    const reading: Reading = { ids: [], text: '', adapter: null };
    let code = 'none';
    try {
      await this.#read(plan, target, reading);
    } catch (error) {
      code = this.#codeOf(error, plan, target);
    } finally {
      this.#atOnce -= 1;
      ended();
    }
    this.#countEnd(code, plan);
    await this.#compare(plan, reading);
    if (code === 'none') this.#parts.finished(plan, reading.ids, reading.adapter);
  }

  async #read(plan: Plan, target: Target, reading: Reading): Promise<void> {
    const leave = new AbortController();
    const { reader } = plan;
    const early = reader.kind === 'leaves' && reader.afterTokens === 0;
    const timer = early ? setTimeout(() => leave.abort(), reader.afterMs) : undefined;
    try {
      for await (const part of this.#parts.subject.open(plan, target, leave.signal)) {
        reading.adapter = part.adapter;
        if (part.kind === 'done') {
          reading.done = part;
          return;
        }
        reading.ids.push(...part.ids);
        reading.text += part.text;
        await pace(reader, reading.ids.length, leave);
      }
      throw new Error('the answer ended without `done`');
    } finally {
      clearTimeout(timer);
    }
  }

  #codeOf(error: unknown, plan: Plan, target: Target): string {
    const code = this.#parts.subject.codeOf(error);
    if (code !== undefined && this.#isExpected(code, plan)) return code;
    this.#parts.report.fail({
      kind: 'unexpected error',
      what: String(error),
      details: { ...plan, target },
    });
    return 'unexpected';
  }

  #isExpected(code: string, { reader, promptIds, maxTokens }: Plan): boolean {
    if (code === 'REQUEST_CANCELLED') return reader.kind === 'leaves';
    if (code === 'PROMPT_TOO_LONG') return promptIds.length + maxTokens > this.#parts.contextLength;
    return code === 'ENGINE_DOWN' || code === 'QUEUE_FULL';
  }

  #countEnd(code: string, { promptIds, maxTokens }: Plan): void {
    const { counts } = this.#parts.report;
    if (code === 'none') counts.finished += 1;
    if (code === 'REQUEST_CANCELLED') counts.cancelled += 1;
    if (code === 'ENGINE_DOWN') counts.lostByKill += 1;
    if (code === 'QUEUE_FULL') counts.queueFull += 1;
    if (code === 'PROMPT_TOO_LONG') counts.promptTooLong += 1;
    if (code !== 'none' || promptIds.length + maxTokens <= this.#parts.contextLength) return;
    this.#wrong('an answer that does not fit the context was given', { promptIds, maxTokens });
  }

  async #compare(plan: Plan, reading: Reading): Promise<void> {
    const { reference, report } = this.#parts;
    const { ids, text, done, adapter } = reading;
    if (done === undefined && ids.length === 0) return;
    if (adapter === null) report.counts.ofBase += 1;
    if ((done?.cachedTokens ?? 0) > 0) report.counts.prefixesReused += 1;
    const { maxTokens, promptIds, sampling } = plan;
    const asked: Asked = { adapter, promptIds, sampling };
    const received: Received = done === undefined ? { ids, text } : { ids, text, finish: done.finish };
    const alone = await reference.answer(asked, maxTokens);
    const verdict = await compare(received, alone, {
      maxTokens,
      epsilon: report.epsilon,
      distance: (at, got, expected) => reference.distance(asked, ids.slice(0, at), got, expected),
    });
    report.count(verdict, asked, { ids, isWhole: done !== undefined });
    if (verdict.kind === 'different')
      this.#wrong(`${adapter ?? 'base'}: ${verdict.why}`, { ...plan, ...verdict, adapter, received, alone });
    this.#checkUsage(plan, reading);
  }

  #checkUsage({ promptIds }: Plan, { ids, done }: Reading): void {
    if (done === undefined) return;
    const { promptTokens, completionTokens } = done;
    if (completionTokens === ids.length && promptTokens === promptIds.length) return;
    this.#wrong(`the usage says ${promptTokens} and ${completionTokens} tokens`, { promptIds, ids });
  }

  #wrong(what: string, details: Readonly<Record<string, unknown>>): void {
    this.#parts.report.fail({ kind: 'different answer', what, details });
  }
}

/** Keeps a reader from reading on, or makes it leave, where its plan says so. */
const pace = async (reader: Reader, tokens: number, leave: AbortController): Promise<void> => {
  if (reader.kind === 'slow' && tokens === 1) await sleep(reader.pauseMs);
  if (reader.kind === 'leaves' && tokens === reader.afterTokens) leave.abort();
};
