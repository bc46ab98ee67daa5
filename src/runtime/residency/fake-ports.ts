import { createHash } from 'node:crypto';
import { type Digest, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { AdapterResource, Versioned } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { Engine, EngineInfo, EngineState, GenerateInput, ProbeResult } from '../engine/engine.ts';
import type { ResidencyOptions, Transition } from './core.ts';
import { createResidency, type Residency } from './manager.ts';
import type { Artifacts, Compiler } from './ports.ts';

const digestOf = (text: string): Digest =>
  `sha256:${createHash('sha256').update(text).digest('hex')}` as Digest;

/** Lets everything run that does not wait for a test. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const mostCalls = 5_000;

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
    if (this.calls.length > mostCalls) await new Promise<void>(() => {});
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
      graphDigest: 'graph-1',
      engineVersion: '1',
      executionProvider: 'CPU',
      architecture: 'llama',
      contextLength: 64,
      vocabSize: 100,
      sites: [],
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
    await this.#call(`generate ${nameOf(input.adapter ?? 'base')}`);
    yield { kind: 'token', ids: [1], text: this.answer } as const;
    const timing = { queueMs: 0, prefillMs: 1, decodeMs: 1, switchMs: 0 };
    yield { kind: 'done', finishReason: 'stop', promptTokens: 1, completionTokens: 1, timing } as const;
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

export type Shape = Partial<AdapterResource['body']>;

/** An adapter `team/<name>` whose source is the path `<name>`. */
export const adapter = (name: string, shape: Shape = {}): Versioned<AdapterResource> => {
  const body: AdapterResource['body'] = {
    uid: `uid-${name}`,
    baseModel: 'tiny',
    baseModelDigests: [],
    source: { path: { path: name } },
    priority: 0,
    pinned: false,
    tier: 'None',
    held: false,
    validation: { smokeTests: [], allowNoEffect: false },
    ...shape,
  };
  return { type: 'AdapterSpec', name: objectKey('team', name), version: JSON.stringify(body), body };
};

export const key = (name: string) => objectKey('team', name);
export const never = (): AbortSignal => new AbortController().signal;

export type World = {
  readonly residency: Residency;
  readonly engine: FakeEngine;
  readonly script: Script;
  readonly clock: FakeClock;
  readonly disk: Map<Digest, number>;
  readonly verdicts: Map<string, string>;
  readonly resolutions: Map<string, Digest>;
  readonly arrows: Transition[];
  /** Content that a source gives; the digest follows from it. Default: the name of the path. */
  readonly content: Map<string, string>;
  readonly digest: (name: string) => Digest;
  /** RAM that the engine reports beyond the compiled bytes. */
  readonly extra: Map<string, number>;
};

export type WorldShape = Partial<ResidencyOptions> & {
  readonly sizes?: Readonly<Record<string, number>>;
  readonly disk?: Map<Digest, number>;
  readonly resolved?: Map<string, Digest>;
  readonly passed?: Map<string, string>;
};

/** A residency over ports that succeed at once unless the script says otherwise. An adapter has 10 bytes. */
export const world = (shape: WorldShape = {}): World => {
  const script = new Script();
  const clock = new FakeClock();
  const disk = shape.disk ?? new Map<Digest, number>();
  const verdicts = shape.passed ?? new Map<string, string>();
  const resolutions = shape.resolved ?? new Map<string, Digest>();
  const content = new Map<string, string>();
  const extra = new Map<string, number>();
  const arrows: Transition[] = [];
  const names = new Map<Digest, string>();
  const sizeOf = (name: string): number => shape.sizes?.[name] ?? 10;
  const digest = (name: string): Digest => {
    const made = digestOf(content.get(name) ?? name);
    names.set(made, name);
    return made;
  };
  const engine = new FakeEngine(script, (name) => sizeOf(name) + (extra.get(name) ?? 0));

  const artifacts: Artifacts = {
    async fetch(source, expected, { signal, onProgress }) {
      const name = source.path?.path ?? '';
      onProgress?.({ receivedBytes: 1, totalBytes: 2 });
      await script.enter(`fetch ${name}`);
      signal.throwIfAborted();
      void expected;
      disk.set(digest(name), 5);
      return { digest: digest(name), bytes: 5 };
    },
    stored: (d) => (disk.has(d) ? { bytes: disk.get(d) ?? 0 } : undefined),
    folder: (d) => `/store/${d}`,
    verify: (d) => script.enter(`verify ${names.get(d)}`),
    async remove(d) {
      await script.enter(`remove ${names.get(d)}`);
      disk.delete(d);
    },
    async quarantine(d) {
      await script.enter(`quarantine ${names.get(d)}`);
      disk.delete(d);
    },
  };
  const compiler: Compiler = {
    async compile({ digest: d, verify }, _info, signal) {
      const name = names.get(d) ?? 'unknown';
      await verify(signal);
      await script.enter(`compile ${name}`);
      return { file: `/compiled/${name}`, bytes: sizeOf(name), rank: 8, targetModules: ['q_proj'] };
    },
    async remove(d) {
      await script.enter(`uncompile ${names.get(d)}`);
    },
  };
  const residency = createResidency({
    artifacts,
    compiler,
    engine,
    clock,
    verdicts: {
      get: (k) => verdicts.get(k),
      set: async (k, v) => {
        await script.enter('verdict');
        verdicts.set(k, v);
      },
    },
    resolutions: {
      get: (uid) => resolutions.get(uid),
      set: async (uid, d) => {
        await script.enter('resolve');
        resolutions.set(uid, d);
      },
      forget: (uid) => {
        resolutions.delete(uid);
        return Promise.resolve();
      },
    },
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    baseModel: 'tiny',
    budgetBytes: 100,
    maxParallelLoads: 2,
    ...shape,
  });
  residency.onTransition((arrow) => arrows.push(arrow));
  return { residency, engine, script, clock, disk, verdicts, resolutions, arrows, content, digest, extra };
};

/** Bytes that the engine holds. */
export const loadedBytes = ({ engine }: World): number =>
  [...engine.loaded.values()].reduce((a, b) => a + b, 0);

export const stateOf = ({ residency }: World, name: string) => residency.state(key(name))?.kind;
