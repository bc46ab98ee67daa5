import { join } from 'node:path';
import { seededRandom } from '../../../src/runtime/engine/random.ts';
import { benchEngine } from '../base.ts';
import { decodeRounds } from '../peers/decode.ts';
import { diskOf } from '../peers/install.ts';
import { lotProgram, lotPromptTokens, lotRounds, lotTokens } from '../peers/lots.ts';
import { genai, llama } from '../peers/others.ts';
import { ours } from '../peers/ours.ts';
import type { PeerKind } from '../peers/peer.ts';
import { agreementOf, chosen, closeAll, installed, own, peerOf, startAll } from '../peers/running.ts';
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
  readonly series: Series;
};

/** Starts without and with a prepared graph, what it takes on disk, and memory before a request. */
export const starts = async (model: RealSize, { cacheDir, series }: SizeOptions): Promise<void> => {
  const { modelDir } = model;
  for (const key of ['first', 'second', 'second', 'second']) {
    const begun = performance.now();
    await using engine = await benchEngine({ modelDir, cacheDir, adapterBudgetBytes: 256 * mib, threads: 1 });
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

/** Our file of an adapter and those of the peers, by their names. */
const filesOf = async (kinds: readonly PeerKind[], adapter: string, folder: string) => {
  const files = new Map<string, string>();
  for (const { name, adapterFile } of kinds)
    if (adapterFile !== undefined) files.set(name, await adapterFile(adapter, join(folder, `${name}-r16`)));
  return files;
};

/** Prefill, decode and memory of one stream. Returns what the report's setup says of it. */
export const singles = async (model: RealSize, options: SizeOptions): Promise<Report['setup']> => {
  const { folder, cacheDir, series } = options;
  const { modelDir } = model;
  const engine = { cacheDir, kvBudgetBytes: kvBudgetBytes(model) };
  const ourKind = ours(modelDir, { spin: true, engine });
  const all = [ourKind, genai(modelDir, true), genai(modelDir, false), llamaOf(model, contextSize)];
  const { there, leftOut } = await installed(chosen(all));
  const files = await filesOf(there, model.r16[0] ?? '', folder);
  const qv8 = await ourKind.adapterFile?.(model.qv8, join(folder, 'qv8'));
  const setup: Record<string, string | number> = { left_out: leftOut };
  for (const threads of threadCounts) {
    const memory = threads === 1 ? { prompt: randomTokens(128, 1), tokens: 32 } : undefined;
    const running = await startAll(there, { threads, arm: 'r16', files, memory, series });
    try {
      await peerOf(running, own).load('qv8', qv8 ?? '');
      if (threads === 1) Object.assign(setup, await agreementOf(running, 'r16', randomTokens(128, 1)));
      for (const { length, tokens, rounds } of prompts) {
        const asked = running.map((one) => {
          // The exported graph is GenAI's fastest way without an adapter.
          if (one.name === 'genai') return { ...one, arms: ['r16'] };
          return one.name === own && length === 128 ? { ...one, arms: [...one.arms, 'qv8'] } : one;
        });
        const prompt = randomTokens(length, length);
        await decodeRounds(asked, { prompt, tokens, key: `${length}`, threads, rounds, series });
      }
    } finally {
      await closeAll(running);
    }
  }
  return setup;
};

/** Eight requests at once: for eight adapters, and for one. Returns what the report's setup says of it. */
export const eights = async (model: RealSize, options: SizeOptions): Promise<Report['setup']> => {
  const { folder, cacheDir, series } = options;
  const { modelDir, r16 } = model;
  const adapters = new Map(r16.map((path, i) => [`r16-${i + 1}`, path]));
  const budgets = { adapterBudgetBytes: 512 * mib };
  const ourKind = ours(modelDir, { spin: true, rows: r16.length, engine: { cacheDir, ...budgets } });
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
      lots: [
        { key: '8_same', asks: same, only: own },
        { key: '8', asks },
      ],
      tokens: lotTokens,
      twoProcesses: false,
      series,
      agreement,
    });
  }
  return { lot_budget_mib: 512, ...agreement };
};
