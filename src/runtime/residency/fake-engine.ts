import { createHash } from 'node:crypto';
import type { Digest } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Engine, EngineInfo, EngineState, GenerateInput, ProbeResult } from '../engine/engine.ts';
import type { EncodeInput, EncodeResult, InferResult, Task } from '../engine/tasks.ts';

/** The digest of a text. */
export const digestOf = (text: string): Digest =>
  `sha256:${createHash('sha256').update(text).digest('hex')}` as Digest;

const maxCalls = 5_000;

/** What a call of a port does instead of succeeding at once. Calls are named `fetch a`, `load a`, … by adapter. */
export class Script {
  readonly calls: string[] = [];
  readonly #next = new Map<string, (() => Promise<void>)[]>();

  fail(call: string, error: Error, times = 1): void {
    for (let i = 0; i < times; i++) this.#push(call, () => Promise.reject(error));
  }

  /** The next such call waits until the test ends it. */
  hold(call: string): PromiseWithResolvers<void> {
    const held = Promise.withResolvers<void>();
    this.#push(call, () => held.promise);
    return held;
  }

  #push(call: string, act: () => Promise<void>): void {
    this.#next.set(call, [...(this.#next.get(call) ?? []), act]);
  }

  async enter(call: string): Promise<void> {
    this.calls.push(call);
    // Work that never comes to rest would keep the test itself from going on.
    if (this.calls.length > maxCalls) await new Promise<void>(() => {});
    await this.#next.get(call)?.shift()?.();
  }

  count(call: string): number {
    return this.calls.filter((c) => c === call).length;
  }
}

const nameOf = (engineName: string): string => /\/(.+)--/.exec(engineName)?.[1] ?? engineName;

/** Holds what is loaded, and dies when a test says so. */
export class FakeEngine implements Engine {
  state: EngineState = 'ready';
  readonly loaded = new Map<string, number>();
  readonly script: Script;
  readonly bytesOf: (name: string) => number;
  probeResult: ProbeResult = { finite: true, maxDifference: 1 };
  answer = 'moon';
  task: Task = 'generate';
  /** An adapter of an encoder has a head. */
  classifies = true;
  baseDigest = digestOf('base');
  readonly #listeners = new Set<(state: EngineState) => void>();
  readonly #cut = new Set<(error: Error) => void>();

  constructor(script: Script, bytesOf: (name: string) => number) {
    this.script = script;
    this.bytesOf = bytesOf;
  }

  info(): EngineInfo {
    return {
      baseDigest: this.baseDigest,
      graphFile: '/model/model.onnx',
      graphDigest: 'graph-1',
      engineVersion: '1',
      executionProvider: 'CPU',
      refusedProviders: [],
      loraOperator: '',
      operators: {},
      limits: [],
      architecture: 'llama',
      contextLength: 64,
      vocabSize: 100,
      sites: [],
      weights: 'float32',
      task: this.task,
    };
  }

  /** Every call ends with the process. */
  async #call(call: string): Promise<void> {
    if (this.state !== 'ready') throw new AdaptletError('ENGINE_DOWN', 'no process');
    const { promise, reject } = Promise.withResolvers<void>();
    this.#cut.add(reject);
    try {
      await Promise.race([this.script.enter(call), promise]);
    } finally {
      this.#cut.delete(reject);
    }
  }

  async load(name: string): Promise<{ bytes: number; ms: number }> {
    await this.#call(`load ${nameOf(name)}`);
    if (this.loaded.has(name)) throw new Error(`${name} is loaded already`);
    const bytes = this.bytesOf(nameOf(name));
    this.loaded.set(name, bytes);
    return { bytes, ms: 1 };
  }
  async probe(name: string): Promise<ProbeResult> {
    await this.#call(`probe ${nameOf(name)}`);
    return this.probeResult;
  }
  async unload(name: string): Promise<void> {
    await this.#call(`unload ${nameOf(name)}`);
    if (!this.loaded.delete(name)) throw new Error(`${name} is not loaded`);
  }
  async *generate(input: GenerateInput) {
    await this.#call(`generate ${nameOf(input.engineName ?? 'base')}`);
    yield { kind: 'token', ids: [1], text: this.answer } as const;
    const timing = { queueMs: 0, prefillMs: 1, decodeMs: 1, switchMs: 0 };
    yield { kind: 'done', finishReason: 'stop', promptTokens: 1, completionTokens: 1, timing } as const;
  }
  async encode(input: EncodeInput): Promise<EncodeResult> {
    await this.#call(`encode ${nameOf(input.engineName ?? 'base')}`);
    const counted = { promptTokens: 1, truncated: [] };
    if (!this.classifies) return { kind: 'embedding', rows: [], ...counted };
    const row = { label: this.answer, logits: [1], probabilities: [1] };
    const rows = input.texts.map(() => row);
    return { kind: 'classification', labels: [this.answer], rows, ...counted };
  }
  async infer(): Promise<InferResult> {
    await this.#call('infer base');
    return { outputs: [] };
  }
  onState(listener: (state: EngineState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  close(): Promise<void> {
    this.become('closed');
    return Promise.resolve();
  }

  become(state: EngineState): void {
    this.state = state;
    for (const listener of this.#listeners) listener(state);
  }
  /** kill -9 of the process. */
  kill(): void {
    this.loaded.clear();
    for (const cut of this.#cut) cut(new AdaptletError('ENGINE_DOWN', 'the process ended'));
    this.become('down');
  }
  restart(): void {
    this.kill();
    this.become('starting');
    this.become('ready');
  }
}
