import { join } from 'node:path';
import { vi } from 'vitest';
import type { Echo, GenerateEvent, GenerateInput, TakenLogprob } from '../../../src/runtime/engine/engine.ts';
import {
  GenerateHost,
  type GenerateHostOptions,
} from '../../../src/runtime/engine/generate/generate-host.ts';
import type { DecoderSessions } from '../../../src/runtime/engine/graphs/decoder-sessions.ts';
import { AtWork } from '../../../src/runtime/engine/host/at-work.ts';
import { DecoderSession } from '../../../src/runtime/engine/session/decoder-session.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { folderOfFile } from '../../support/temporary-folder.ts';
import { type Answer, request } from './engine.ts';
import { type OpenWish, openBase } from './open-model.ts';
import { compileFor, tinyAdapters, tinyFolder } from './tiny.ts';

/** Never ends before its length: the model's own end token is not drawn. */
export const endless = (
  adapter: string | null,
  text: string,
  maxTokens: number,
  more: Partial<GenerateInput> = {},
): GenerateInput =>
  request(adapter, text, {
    maxTokens,
    sampling: { temperature: 0, topK: 0, topP: 1, logitBias: [[2, -1000]] },
    ...more,
  });

/**
 * Requests with four adapters and none, of different lengths: of one token, of more than a piece of a prompt. No token of
 * them is as likely as another one within 5e-4, so that rounding changes none.
 */
export const eight: readonly GenerateInput[] = [
  endless(null, 'moon:', 40),
  endless('upper', 'fish:', 30),
  endless('reverse', 'star:', 50),
  endless('digits', 'dog:', 20),
  endless('hello', 'red:', 45),
  endless('upper', 'red'.repeat(50), 35),
  endless(null, 'x', 60),
  endless('reverse', 'moon: fish: star: '.repeat(8), 25),
];

/** `logprobs`: one for each token, and `echo`: the prompt, where asked for. */
export type HostAnswer = Answer & {
  readonly logprobs: readonly TakenLogprob[];
  readonly echo: Echo | undefined;
};

export type Asked = {
  readonly id: number;
  readonly answer: Promise<HostAnswer>;
  /** Resolves once it has given so many tokens. */
  given(tokens: number): Promise<void>;
  cancel(): void;
};

type Opened = Awaited<ReturnType<typeof openBase>>;

/** An engine in this process, without a process of its own. */
export class TestHost {
  readonly warnings: readonly string[];
  readonly sessions: DecoderSessions;
  readonly host: GenerateHost;
  readonly codec: Opened['codec'];
  /** Numbers of requests, one for each token, in the order in which they were given. */
  readonly tokens: number[] = [];
  #ids = 0;

  private constructor(host: GenerateHost, { sessions, codec, warnings }: Opened) {
    this.host = host;
    this.sessions = sessions;
    this.codec = codec;
    this.warnings = warnings;
  }

  static async open(
    modelDir: string,
    options: Partial<GenerateHostOptions> & OpenWish = {},
    cacheDir = folderOfFile(),
  ): Promise<TestHost> {
    const { executionProviders = [], requireProvider = false, kv } = options;
    const wish = { executionProviders, requireProvider, ...(kv === undefined ? {} : { kv }) };
    const base = await openBase(modelDir, cacheDir, wish);
    const host = new GenerateHost(base, {
      adapterBudgetBytes: 64 << 20,
      maxConcurrent: 8,
      maxQueue: 16,
      kvBudgetBytes: 64 << 20,
      prefixCache: true,
      // Tests count steps, and tokens of int4 are those of steps of one.
      speculation: false,
      // Pieces of prompts of one size, whatever the machine does: int4 rounds differently in smaller ones.
      maxDecodeStallMs: 1e9,
      clock: systemClock,
      atWork: new AtWork(() => undefined),
      random: () => 0.5,
      ...options,
    });
    return new TestHost(host, base);
  }

  /** The same with the tiny model's adapters. */
  static async tiny(
    modelDir: string,
    options: Partial<GenerateHostOptions> & OpenWish = {},
    cacheDir = folderOfFile(),
  ): Promise<TestHost> {
    const test = await TestHost.open(modelDir, options, cacheDir);
    for (const name of tinyAdapters) {
      const file = await compileFor(test.host.info, join(tinyFolder, 'adapters', name), cacheDir);
      await test.host.load(name, file);
    }
    return test;
  }

  start(input: GenerateInput): Asked {
    const id = (this.#ids += 1);
    const { promise, resolve, reject } = Promise.withResolvers<HostAnswer>();
    const waiting: { readonly tokens: number; readonly reached: () => void }[] = [];
    const ids: number[] = [];
    const logprobs: TakenLogprob[] = [];
    let text = '';
    let echo: Echo | undefined;
    let done: Answer['done'] | undefined;
    const emit = (event: GenerateEvent): void => {
      if (event.kind === 'done') {
        done = event;
        return;
      }
      text += event.text;
      echo ??= event.echo;
      ids.push(...event.ids);
      logprobs.push(...(event.logprobs ?? []));
      this.tokens.push(id);
      this.host.taken(id, 1);
      for (const { tokens, reached } of waiting) if (ids.length >= tokens) reached();
    };
    this.host.generate(id, input, emit, (ending) => {
      if (ending.kind === 'failed') reject(ending.error);
      else if (done === undefined) reject(new Error(ending.kind));
      else resolve({ text, ids, logprobs, echo, done });
    });
    return {
      id,
      answer: promise,
      given: (tokens) => new Promise((reached) => waiting.push({ tokens, reached })),
      cancel: () => this.host.cancel(id),
    };
  }

  ask(input: GenerateInput): Promise<HostAnswer> {
    return this.start(input).answer;
  }

  /** Tokens that each gives alone, by itself from its first token on. */
  async alone(inputs: readonly GenerateInput[]): Promise<readonly (readonly number[])[]> {
    const answers: (readonly number[])[] = [];
    for (const { scope: _, ...input } of inputs) answers.push((await this.ask(input)).ids);
    return answers;
  }

  async together(inputs: readonly GenerateInput[]): Promise<readonly (readonly number[])[]> {
    const answers = await Promise.all(inputs.map((input) => this.ask(input)));
    return answers.map(({ ids }) => ids);
  }

  close(): Promise<void> {
    return this.host.close();
  }
}

type StepGiven = Parameters<DecoderSession['prepareRows']>;
type StepRun = ReturnType<DecoderSession['prepareRows']>;

/** Lets `around` set up all steps, until the result is called. */
export const aroundSteps = (
  around: (given: StepGiven, prepare: (given: StepGiven) => StepRun, graph: DecoderSession) => StepRun,
): (() => void) => {
  const prepareRows = Reflect.get(DecoderSession.prototype, 'prepareRows');
  const spy = vi.spyOn(DecoderSession.prototype, 'prepareRows').mockImplementation(function (
    this: DecoderSession,
    ...given: StepGiven
  ) {
    return around(given, (changed) => prepareRows.apply(this, changed), this);
  });
  return () => spy.mockRestore();
};

/** A step: its rows, the tokens of each, and its graph. */
export type Step = { readonly rows: number; readonly tokens: number; readonly graph: DecoderSession };

/** The steps that are run while `work` goes on. */
export const stepsDuring = async <T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly steps: readonly Step[] }> => {
  const steps: Step[] = [];
  const restore = aroundSteps((given, prepare, graph) => {
    const [, { ids }] = given;
    steps.push({ rows: ids.length, tokens: ids[0]?.length ?? 0, graph });
    return prepare(given);
  });
  try {
    return { result: await work(), steps };
  } finally {
    restore();
  }
};
