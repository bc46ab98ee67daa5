import { join } from 'node:path';
import { seededRandom } from '../../../src/runtime/engine/random.ts';
import { writeSyntheticAdapter } from '../../support/synthetic-adapter.ts';
import { benchEngine } from '../base.ts';
import { decodeRounds } from '../peers/decode.ts';
import { diskOf } from '../peers/install.ts';
import { lotProgram, lotPromptTokens, lotRounds, lotSizes, lotTokens } from '../peers/lots.ts';
import { genai, llama } from '../peers/others.ts';
import { ours } from '../peers/ours.ts';
import type { PeerKind } from '../peers/peer.ts';
import {
  agreementOf,
  chosen,
  chosenArms,
  closeAll,
  filesOf,
  installed,
  own,
  type PeerFiles,
  startAll,
} from '../peers/running.ts';
import type { Series } from '../peers/series.ts';
import { settledMemory } from '../process-memory.ts';
import type { Report } from '../report.ts';
import { roundsOf } from '../rounds.ts';
import type { RealSize } from './models.ts';
import { type Shape, shapes } from './shapes.ts';

export const threadCounts = (process.env['ADAPTLET_BENCH_THREADS'] ?? '1,2').split(',').map(Number);
const mib = 2 ** 20;

/** Prompts by length. One token is the end of prefill, more tell decode. */
export const prompts: readonly {
  readonly length: number;
  readonly tokens: number;
  readonly rounds: number;
}[] = [
  { length: 128, tokens: 32, rounds: roundsOf(5) },
  { length: 1024, tokens: 32, rounds: roundsOf(3) },
  { length: 4096, tokens: 1, rounds: roundsOf(1) },
].filter(({ length }) => process.env['ADAPTLET_BENCH_PROMPTS']?.split(',').includes(`${length}`) ?? true);

/** Tokens of the vocabulary of SmolLM2's tokenizer, none of them special. */
const randomTokens = (length: number, seed: number): readonly number[] => {
  const random = seededRandom(seed);
  return Array.from({ length }, () => 100 + Math.floor(random() * 40_000));
};

/** For the longest prompt and its answer, with room to spare. */
const contextSize = Math.max(...prompts.map(({ length }) => length), 256) + 256;

const kvBudgetBytes = ({ name }: RealSize): number => {
  const { num_hidden_layers, num_key_value_heads, head_dim }: Shape = shapes[name];
  return Math.max(512 * mib, 2 * 4 * num_hidden_layers * num_key_value_heads * head_dim * contextSize);
};

/** What the parts of this bench share. */
export type SizeOptions = {
  readonly folder: string;
  /** Of the prepared graph. */
  readonly cacheDir: string;
  readonly adapterBudgetBytes: number;
  readonly series: Series;
};

/** Starts without and with a prepared graph, what it takes on disk, and memory before a request. */
export const starts = async (
  model: RealSize,
  { cacheDir, adapterBudgetBytes, series }: SizeOptions,
): Promise<void> => {
  const { modelDir } = model;
  for (const key of ['first', 'second', 'second', 'second']) {
    const begun = performance.now();
    await using engine = await benchEngine({ modelDir, cacheDir, adapterBudgetBytes, threads: 1 });
    series.add(`start_${key}_${own}`, performance.now() - begun);
    console.error(`sizes: ${model.name}: ${key} start`);
    if (key === 'first') continue;
    const { pss, rss } = await settledMemory(engine.pid ?? -1);
    series.add(`pss_loaded_${own}_mib`, pss);
    series.add(`rss_loaded_${own}_mib`, rss);
  }
  series.add('disk_model_mib', (await diskOf(modelDir)) / mib);
  series.add('disk_prepared_mib', (await diskOf(cacheDir)) / mib);
};

const llamaOf = ({ configFile, gguf }: RealSize, size: number): PeerKind =>
  llama({ configFile, weights: 'Q4_0', contextSize: size, file: async () => gguf });

/** Their files by arm; the first one's memory is measured. */
const adapterFiles = async (model: RealSize, kinds: readonly PeerKind[], folder: string) => {
  const r8 = join(folder, 'r8');
  await writeSyntheticAdapter(r8, model.configFile, { rank: 8, seed: 8 });
  const ownKinds = kinds.filter(({ name }) => name === own);
  const adapters = {
    r16: { peftFolder: model.r16[0] ?? '', programs: kinds },
    r8: { peftFolder: r8, programs: kinds },
    qv8: { peftFolder: model.qv8, programs: ownKinds },
  } as const;
  const files = new Map<string, PeerFiles>();
  for (const arm of chosenArms(['r16', 'r8', 'qv8'])) {
    const { peftFolder, programs } = adapters[arm];
    files.set(arm, await filesOf(programs, peftFolder, { folder, name: arm }));
  }
  return files;
};

/** What is asked after prompts of every length; the others only after the shortest. */
const armsOfAllLengths: readonly string[] = ['base', 'r16'];

/** Prefill, decode and memory of one stream. Returns what the report's setup says of it. */
export const singles = async (model: RealSize, options: SizeOptions): Promise<Report['setup']> => {
  const { folder, cacheDir, adapterBudgetBytes, series } = options;
  const { modelDir } = model;
  const engine = { cacheDir, adapterBudgetBytes, kvBudgetBytes: kvBudgetBytes(model) };
  const ourKind = ours(modelDir, { spin: true, engine });
  const all = [ourKind, genai(modelDir, true), genai(modelDir, false), llamaOf(model, contextSize)];
  const { there, leftOut } = await installed(chosen(all));
  const files = await adapterFiles(model, there, folder);
  const setup: Record<string, string | number> = { left_out: leftOut };
  for (const threads of threadCounts) {
    const memory = threads === 1 ? { prompt: randomTokens(128, 1), tokens: 32 } : undefined;
    const running = await startAll(there, { threads, files, memory, series });
    try {
      if (threads === 1) Object.assign(setup, await agreementOf(running, 'r16', randomTokens(128, 1)));
      for (const { length, tokens, rounds } of prompts) {
        const isAsked = (name: string, arm: string): boolean =>
          // The exported graph is GenAI's fastest way without an adapter.
          !(name === 'genai' && arm === 'base') && (length === 128 || armsOfAllLengths.includes(arm));
        const asked = running.map((one) => ({
          ...one,
          arms: one.arms.filter((arm) => isAsked(one.name, arm)),
        }));
        const prompt = randomTokens(length, length);
        await decodeRounds(asked, { prompt, tokens, key: `${length}`, threads, rounds, series });
      }
    } finally {
      await closeAll(running);
    }
  }
  return setup;
};

/** Requests at once: each for another adapter, and all for one. Returns what the report's setup says of it. */
export const lots = async (model: RealSize, options: SizeOptions): Promise<Report['setup']> => {
  const { folder, cacheDir, adapterBudgetBytes, series } = options;
  const { modelDir, r16 } = model;
  const adapters = new Map(r16.map((path, i) => [`r16-${i + 1}`, path]));
  const engine = { cacheDir, adapterBudgetBytes };
  const ourKind = ours(modelDir, { spin: true, rows: r16.length, engine });
  const { there } = await installed(chosen([ourKind, genai(modelDir, true), llamaOf(model, 256)]));
  const programs = [];
  for (const kind of there) {
    const program = await lotProgram(kind, adapters, folder);
    if (program !== undefined) programs.push(program);
  }
  const ids = (i: number) => randomTokens(lotPromptTokens, i);
  const asks = [...adapters.keys()].map((adapter, i) => ({ adapter, ids: ids(i) }));
  const same = asks.map((ask) => ({ ...ask, adapter: 'r16-1' }));
  const agreement: Record<string, string> = {};
  for (const threads of threadCounts) {
    await lotRounds(programs, {
      threads,
      rounds: roundsOf(3),
      lots: lotSizes.flatMap((size) => [
        { key: `${size}_same`, asks: same.slice(0, size), only: own },
        { key: `${size}`, asks: asks.slice(0, size) },
      ]),
      tokens: lotTokens,
      // Ours is compared by its batch; two more of it would only take memory.
      twoProcesses: (program) => program !== own,
      series,
      agreement,
    });
  }
  return agreement;
};
