import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { expect, onTestFinished } from 'vitest';
import type { CompiledHeader } from '../../../src/runtime/compiled/compiled-file.ts';
import { readCompiledHeader } from '../../../src/runtime/compiled/read-header.ts';
import {
  type EngineClient,
  type EngineOptions,
  startEngine,
} from '../../../src/runtime/engine/client/client.ts';
import type { GenerateEvent, GenerateInput } from '../../../src/runtime/engine/engine.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { folderOfFile } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait.ts';
import { compileFor, tinyAdapters, tinyFolder, tinyModel } from './tiny.ts';

export type LogLine = { readonly level: string; readonly message: string; readonly keys: object };

export type TestEngine = {
  readonly engine: EngineClient;
  readonly log: LogLine[];
  readonly folder: string;
  /** Compiled files of the tiny adapters. */
  readonly files: Readonly<Record<string, string>>;
};

/** An engine process on the tiny model that has just been started. */
export const launchTiny = (
  options: Partial<EngineOptions> = {},
  folder = folderOfFile(),
): Omit<TestEngine, 'files'> => {
  const log: LogLine[] = [];
  const write = (level: string) => (keys: object, message: string) => void log.push({ level, message, keys });
  const engine = startEngine({
    modelDir: tinyModel('fp32'),
    cacheDir: join(folder, 'cache'),
    adapterBudgetBytes: 8 << 20,
    threads: 1,
    maxConcurrent: 4,
    maxQueue: 4,
    clock: systemClock,
    stallTimeoutMs: 20_000,
    loraOperator: process.env['ADAPTLET_LORA_OPERATOR'],
    logger: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') },
    ...options,
  });
  return { engine, log, folder };
};

/** An engine process on the tiny model, ready, nothing loaded. */
export const startTiny = async (
  options: Partial<EngineOptions> = {},
  folder = folderOfFile(),
): Promise<TestEngine> => {
  const { engine, log } = launchTiny(options, folder);
  await waitFor('the engine', () => engine.state === 'ready');
  const files: Record<string, string> = {};
  for (const name of tinyAdapters) {
    files[name] = await compileFor(engine.info(), join(tinyFolder, 'adapters', name), folder);
  }
  return { engine, log, folder, files };
};

/** As {@link startTiny}, until the end of the test that is running. */
export const startForTest = async (...options: Parameters<typeof startTiny>): Promise<TestEngine> => {
  const tiny = await startTiny(...options);
  onTestFinished(() => tiny.engine.close());
  return tiny;
};

/** An error of that code with that in its message. */
export const failsWith = (code: string, text = '') =>
  expect.objectContaining({ code, message: expect.stringContaining(text) });

export const request = (
  adapter: string | null,
  text: string,
  more: Partial<GenerateInput> = {},
): GenerateInput => ({
  requestId: `${adapter ?? 'base'} ${text}`,
  engineName: adapter,
  prompt: { kind: 'text', text },
  maxTokens: 32,
  sampling: { temperature: 0, topK: 0, topP: 1 },
  stop: [],
  ...more,
});

/** Tokens that are drawn almost evenly from the whole vocabulary: an answer that only its length ends, with this seed. */
export const babble = (adapter: string | null, maxTokens: number): GenerateInput =>
  request(adapter, 'moon:', { maxTokens, sampling: { temperature: 1000, topK: 0, topP: 1, seed: 3 } });

export type Answer = {
  readonly text: string;
  readonly ids: readonly number[];
  readonly done: Extract<GenerateEvent, { kind: 'done' }>;
};

export const ask = async (
  engine: EngineClient,
  input: GenerateInput,
  signal = new AbortController().signal,
): Promise<Answer> => {
  let text = '';
  const ids: number[] = [];
  for await (const event of engine.generate(input, signal)) {
    if (event.kind === 'done') return { text, ids, done: event };
    text += event.text;
    ids.push(...event.ids);
  }
  throw new Error('the answer ended without `done`');
};

/** A copy of a compiled file with one value of its first B changed to NaN, and all checksums right. */
export const withNaN = async (file: string): Promise<string> => {
  const header = await readCompiledHeader(file);
  const bytes = await readFile(file);
  const target = header.tensors.find((tensor) => tensor.half === 'B');
  if (target === undefined) throw new Error(`${file} has no B`);
  bytes.writeFloatLE(NaN, target.offset);
  const tensors = header.tensors.map((tensor) => ({
    ...tensor,
    crc32: crc32(bytes.subarray(tensor.offset, tensor.offset + tensor.length)),
  }));
  const changed: CompiledHeader = { ...header, tensors };
  const room = bytes.subarray(16, 16 + bytes.readUInt32LE(8));
  room.fill(' ');
  room.write(JSON.stringify(changed));
  bytes.writeUInt32LE(crc32(room), 12);
  await writeFile(`${file}.nan`, bytes);
  return `${file}.nan`;
};
