import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { ObjectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { EngineClient } from '../engine/client/client.ts';
import type { EngineInfo, EngineState } from '../engine/engine.ts';
import type { EncodeInput, EncodeResult } from '../engine/tasks.ts';
import { answerMs, EncoderHeads } from './encoder-heads.ts';

const digest = fakeDigest('d');
const stored = { key: 'team-a/r/intent' as ObjectKey, digest, fileBytes: 1000 };
const never = new AbortController().signal;
const turn = { namespace: 'team-a', tenant: 'acme' };
const labels = ['medical', 'legal'];
const row = { label: 'legal', logits: [0, 1], probabilities: [0.25, 0.75] };
const answer: Extract<EncodeResult, { kind: 'classification' }> = {
  kind: 'classification',
  labels,
  rows: [row],
  promptTokens: 3,
  truncated: [],
};

type Options = {
  readonly task?: string;
  /** Labels of what is compiled; null: it has no head. */
  readonly has?: readonly string[] | null;
  readonly activation?: 'none';
  readonly state?: EngineState;
};

/** Heads of an encoder; `told`: what was done, with the number of the load. */
const start = ({ task = 'embed', has = labels, state = 'ready', activation }: Options = {}) => {
  const told: string[] = [];
  const inputs: EncodeInput[] = [];
  const listeners = new Set<(now: EngineState) => void>();
  const made = {
    state,
    failure: undefined as AdaptletError | undefined,
    answers: async (): Promise<EncodeResult> => answer,
    load: async (): Promise<void> => undefined,
    unload: async (): Promise<void> => undefined,
  };
  const engine = {
    get state() {
      return made.state;
    },
    get failure() {
      return made.failure;
    },
    info: () => ({ task }) as EngineInfo,
    load: async (name: string, file: string) => {
      told.push(`load ${name.slice(-2)} ${file}`);
      await made.load();
      return { bytes: 10, ms: 1 };
    },
    unload: async (name: string) => {
      told.push(`unload ${name.slice(-2)}`);
      await made.unload();
    },
    encode: async (input: EncodeInput, signal: AbortSignal) => {
      inputs.push(input);
      const { promise, reject } = Promise.withResolvers<never>();
      signal.addEventListener('abort', () => reject(new AdaptletError('REQUEST_CANCELLED', 'given up')));
      return await Promise.race([made.answers(), promise]);
    },
    onState: (listener: (now: EngineState) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  } satisfies Partial<EngineClient>;
  const clock = new FakeClock();
  const compiled = { file: 'f', bytes: 1, ramBytes: 7, rank: 8, targetModules: [] };
  const heads = new EncoderHeads({
    engine,
    compiler: {
      compile: async ({ verify, folder, bytes }, _, signal) => {
        await verify(signal);
        told.push(`compile ${folder} ${bytes}`);
        return has === null ? compiled : { ...compiled, labels: has, ...(activation && { activation }) };
      },
      remove: async (of) => void told.push(`remove ${of === digest}`),
    },
    artifacts: { folder: () => 'folder', verify: async () => void told.push('verify') },
    clock,
    log: silentLog,
  });
  const become = (now: EngineState): void => {
    made.state = now;
    for (const listener of listeners) listener(now);
  };
  /** What was done since the last look, once nothing is left to do. */
  const done = async (): Promise<string[]> => {
    await new Promise(setImmediate);
    return told.splice(0);
  };
  return { heads, told, done, inputs, clock, made, become };
};

describe('an adapter with a head', () => {
  it('leaves no compiled file where it has none', async () => {
    const { heads, done } = start({ has: null });
    expect(await codeOf(() => heads.open(stored, never))).toBe('CLASSIFIER_MISSING');
    expect((await done()).at(-1)).toBe('remove true');
  });

  it('is verified, compiled and loaded, and gives probabilities of its labels', async () => {
    const { heads, done, inputs } = start();
    const head = await heads.open(stored, never);
    expect(await done()).toEqual(['verify', 'compile folder 1000', 'load -1 f']);
    expect(head).toMatchObject({ labels, bytes: 7 });
    const scorer = heads.scorerOf(head);
    expect(await scorer.ask('hello', { maxTokens: 64, turn, signal: never })).toEqual([
      { label: 'medical', score: 0.25 },
      { label: 'legal', score: 0.75 },
    ]);
    const texts = [{ kind: 'text', text: 'hello' }];
    expect(inputs).toMatchObject([{ texts, output: 'classification', maxTokens: 64, ...turn }]);
  });

  it('is refused without a head, by a model that is no encoder, and with labels that cost every request too much', async () => {
    const refusal = (options: Options) => codeOf(() => start(options).heads.open(stored, never));
    expect(await refusal({ has: null })).toBe('CLASSIFIER_MISSING');
    expect(await refusal({ task: 'generate' })).toBe('TASK_UNSUPPORTED');
    // Some of its values look like probabilities.
    expect(await refusal({ activation: 'none' })).toBe('ROUTE_CLASSIFIER_INVALID');
    const many = Array.from({ length: 1001 }, (_, index) => `l${index}`);
    for (const has of [many, ['x'.repeat(64)], ['']])
      expect(await refusal({ has })).toBe('ROUTE_CLASSIFIER_INVALID');
  });

  it('gives no scores where its values are no probabilities, as those of a regression', async () => {
    for (const value of [1.5, -0.1, Number.NaN]) {
      const { heads, made } = start();
      made.answers = async () => ({ ...answer, rows: [{ ...row, probabilities: [value, 0.5] }] });
      const scorer = heads.scorerOf(await heads.open(stored, never));
      const asked = scorer.ask('x', { maxTokens: 64, turn, signal: never });
      await expect(asked).rejects.toMatchObject({
        code: 'ROUTE_CLASSIFIER_INVALID',
        advice: 'Give the route an adapter that was trained for sequence classification.',
      });
    }
  });

  it('is what the error about artifacts tells to make, beside a table', () => {
    const { advice } = new AdaptletError('ROUTE_CLASSIFIER_INVALID', 'it is none');
    expect(advice).toMatch(/`examples`.*classifier distil.*`onnx`.*sequence classification/);
  });

  it('waits for an encoder that starts, for as long as it is wanted, and says meanwhile why', async () => {
    const { heads, made, become, done } = start({ state: 'starting' });
    expect(heads.trouble).toBe('the encoder for classifiers is starting');
    const opened = heads.open(stored, never);
    made.failure = new AdaptletError('MODEL_FILE_MISSING', 'no model.onnx');
    become('down');
    expect(heads.trouble).toBe(
      'the encoder for classifiers is down: MODEL_FILE_MISSING: no model.onnx. Copy the file that the message names into the folder, or export the base model again',
    );
    become('ready');
    expect(await opened).toMatchObject({ labels });
    expect(heads.trouble).toBeUndefined();
    expect((await done()).filter((one) => one.startsWith('load'))).toEqual(['load -1 f']);
    const gone = new AbortController();
    const other = start({ state: 'starting' }).heads.open(stored, gone.signal);
    gone.abort(new AdaptletError('REQUEST_CANCELLED', 'not wanted'));
    expect(await codeOf(() => other)).toBe('REQUEST_CANCELLED');
  });

  it('comes back with an encoder that ended, unless it was dropped', async () => {
    const { heads, become, done } = start();
    const [one, two] = [await heads.open(stored, never), await heads.open(stored, never)];
    heads.drop(two);
    expect((await done()).at(-1)).toBe('unload -2');
    become('down');
    become('ready');
    expect(await done()).toEqual(['load -1 f']);
    heads.drop(one);
    expect(await done()).toEqual(['unload -1', 'remove true']);
  });

  it('that is dropped while it comes back leaves nothing behind in the encoder', async () => {
    const { heads, made, become, done } = start();
    const head = await heads.open(stored, never);
    await done();
    const { promise, resolve } = Promise.withResolvers<void>();
    made.load = () => promise;
    become('ready');
    expect(await done()).toEqual(['load -1 f']);
    heads.drop(head);
    expect(await done()).toEqual([]);
    resolve();
    expect(await done()).toEqual(['unload -1', 'remove true']);
  });

  it('that is dropped while the encoder is away leaves no compiled file', async () => {
    for (const code of ['ENGINE_DOWN', 'ADAPTER_NOT_AVAILABLE'] as const) {
      const { heads, made, done } = start();
      const head = await heads.open(stored, never);
      await done();
      made.unload = () => Promise.reject(new AdaptletError(code, 'it is away'));
      heads.drop(head);
      expect(await done()).toEqual(['unload -1', 'remove true']);
    }
  });

  it('that cannot come back is told of; a compiled file that is damaged is made anew', async () => {
    const { heads, made, become, done } = start();
    const lost: unknown[] = [];
    heads.onLost((head, cause) => lost.push([head.name.slice(-2), cause]));
    await heads.open(stored, never);
    const damaged = new AdaptletError('COMPILED_FILE_CORRUPT', 'crc32 differs');
    made.load = () => Promise.reject(damaged);
    become('ready');
    await done();
    expect(lost).toEqual([['-1', damaged]]);
    expect(await codeOf(() => heads.open(stored, never))).toBe('COMPILED_FILE_CORRUPT');
    expect((await done()).at(-1)).toBe('remove true');
    // An encoder that ended again has them again when it is back.
    made.load = async () => undefined;
    await heads.open(stored, never);
    made.load = async () => {
      made.state = 'down';
      throw new AdaptletError('ENGINE_DOWN', 'it ended');
    };
    become('ready');
    await done();
    expect(lost).toHaveLength(1);
    made.load = async () => undefined;
    become('ready');
    expect(await done()).toEqual(['load -3 f']);
  });

  it('is waited for no longer than its time, and not after its caller', async () => {
    const { heads, made, clock } = start();
    made.answers = () => new Promise(() => undefined);
    const scorer = heads.scorerOf(await heads.open(stored, never));
    const late = scorer.ask('x', { maxTokens: 64, turn, signal: never });
    clock.advance(answerMs);
    expect(await codeOf(() => late)).toBe('DEADLINE_EXCEEDED');
    const caller = new AbortController();
    const left = scorer.ask('x', { maxTokens: 64, turn, signal: caller.signal });
    caller.abort();
    expect(await codeOf(() => left)).toBe('REQUEST_CANCELLED');
  });

  it('counts what became of questions: answers, those that came too late, errors; not those whose caller left', async () => {
    const { heads, made, clock } = start();
    const scorer = heads.scorerOf(await heads.open(stored, never));
    const ask = (signal = never) => scorer.ask('x', { maxTokens: 64, turn, signal });
    expect(heads.answers).toEqual({});
    await ask();
    await ask();
    made.answers = () => new Promise(() => undefined);
    const late = ask();
    clock.advance(answerMs);
    expect(await codeOf(() => late)).toBe('DEADLINE_EXCEEDED');
    const caller = new AbortController();
    const left = ask(caller.signal);
    caller.abort();
    expect(await codeOf(() => left)).toBe('REQUEST_CANCELLED');
    made.answers = () => Promise.reject(new AdaptletError('QUEUE_FULL', 'too many'));
    expect(await codeOf(() => ask())).toBe('QUEUE_FULL');
    expect(heads.answers).toEqual({ OK: 2, DEADLINE_EXCEEDED: 1, QUEUE_FULL: 1 });
  });

  it('tells when the state of the encoder is another', () => {
    const { heads, become } = start({ state: 'starting' });
    const seen: (string | undefined)[] = [];
    heads.onState(() => seen.push(heads.trouble));
    become('ready');
    become('closed');
    expect([...seen, heads.isClosed]).toEqual([undefined, 'the encoder for classifiers is closed', true]);
    heads.giveUp(new AdaptletError('CLASSIFIER_MEMORY', 'it takes too much', { advice: 'Give it more.' }));
    expect(heads.trouble).toBe(
      'the encoder for classifiers is closed: CLASSIFIER_MEMORY: it takes too much. Give it more',
    );
  });
});
