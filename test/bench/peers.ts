import { join } from 'node:path';
import { smollm } from '../support/models.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { type BenchBase, benchBase, scratchFolder } from './base.ts';
import { decodeRounds, decodeTokens, promptThatGoesOn } from './peers/decode.ts';
import { smollmGguf } from './peers/install.ts';
import {
  type LotProgram,
  lotAdapters,
  lotProgram,
  lotPromptTokens,
  lotRatios,
  lotRounds,
  lotSizes,
  lotTokens,
} from './peers/lots.ts';
import { genai, llama, peft } from './peers/others.ts';
import { ours } from './peers/ours.ts';
import type { PeerKind } from './peers/peer.ts';
import { promptsOf, promptTokens } from './peers/prompts.ts';
import { readyRounds } from './peers/ready.ts';
import {
  agreementOf,
  chosen,
  chosenArms,
  closeAll,
  filesOf,
  installed,
  ourOwn,
  own,
  type PeerFiles,
  startAll,
} from './peers/running.ts';
import { Series } from './peers/series.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf } from './rounds.ts';

const rounds = roundsOf(9);
const threadCounts = [1, 2] as const;
const lotRoundsOf = { 1: roundsOf(3), 2: roundsOf(4) } as const;
/** Parts of this bench: one stream, and lots of requests for several adapters. */
const parts = process.env['ADAPTLET_BENCH_PARTS']?.split(',') ?? ['single', 'lots'];
/** With what GenAI answers fastest: from the exported graph without an adapter, from the injected one with one. */
const rivals = { base: 'genai-base', r8: 'genai', r16: 'genai' } as const;
/** Of adapters on all linears: a trained one of rank 8, and a random one. */
const adapterArms = ['r8', 'r16'] as const;

const kinds = (model: BenchBase): readonly PeerKind[] => [
  ours(model.modelDir, { spin: true }),
  ours(model.modelDir, { spin: false }),
  genai(model.modelDir, true),
  genai(model.modelDir, false),
  llama({ configFile: model.configFile, weights: 'Q4_1', contextSize: 512, file: smollmGguf }),
  peft(),
];

/** Files of adapters by their names. */
const writeFiles = async (
  there: readonly PeerKind[],
  folder: string,
  adapters: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, PeerFiles>> => {
  const files = new Map<string, PeerFiles>();
  for (const [name, peftFolder] of Object.entries(adapters))
    files.set(name, await filesOf(there, peftFolder, { folder, name }));
  return files;
};

/** A PEFT folder with random weights on all linears. */
const random = async (model: BenchBase, folder: string, rank: number): Promise<string> => {
  const made = join(folder, `rank-${rank}`);
  await writeSyntheticAdapter(made, model.configFile, { rank, seed: rank });
  return made;
};

const decodeRatios = (series: Series): readonly (readonly [string, number | undefined])[] =>
  threadCounts.flatMap((threads) =>
    (['base', ...adapterArms] as const).flatMap((arm) => {
      const suffix = threads === 1 ? '' : `_t${threads}`;
      const over = (label: string, its: string, mine = own, more = '') =>
        [
          `decode_${arm}_over_${label}${suffix}${more}`,
          series.speed(`decode_${arm}_${mine}_t${threads}`, `decode_${arm}_${its}_t${threads}`),
        ] as const;
      return [
        over('genai', rivals[arm]),
        over('genai', rivals[arm], `${own}-no-spin`, '_no_spin'),
        over('llama', 'llama'),
        over('peft', 'peft'),
      ];
    }),
  );

/** Medians over medians: differences of two times can be near zero, and their ratios anything. */
const readyRatios = (series: Series): readonly (readonly [string, number | undefined])[] =>
  (['5mb', '49mb'] as const).flatMap((size) =>
    ['genai', 'llama', 'peft'].map((name) => {
      const [mine, its] = [series.get(`ready_${size}_${own}`), series.get(`ready_${size}_${name}`)];
      if (mine === undefined || its === undefined) return [`ready_${size}_over_${name}`, undefined] as const;
      return [`ready_${size}_over_${name}`, quantile(mine, 0.5) / quantile(its, 0.5)] as const;
    }),
  );

/** What a single stream gets: decode, ready and memory. Returns what the report's setup says of it. */
const singleStreams = async (
  there: readonly PeerKind[],
  model: BenchBase,
  options: { readonly folder: string; readonly series: Series },
): Promise<Report['setup']> => {
  const { folder, series } = options;
  const prompts = promptsOf(model.modelDir);
  const adapters = { r8: model.allLinear, r16: await random(model, folder, 16) };
  const measured = chosenArms(adapterArms).map((arm) => [arm, adapters[arm]] as const);
  const files = await writeFiles(there, folder, Object.fromEntries(measured));
  const sized = { '5mb': model.allLinear, '49mb': await random(model, folder, 40) };
  const sizedFiles = await writeFiles(there, folder, sized);
  const agreement: Record<string, string> = {};
  let pagesLeft = 0;
  for (const threads of threadCounts) {
    const memory = threads === 1 ? { prompt: prompts.long[0] ?? [], tokens: decodeTokens } : undefined;
    const running = await startAll(there, { threads, files, memory, series });
    try {
      const prompt = await promptThatGoesOn(ourOwn(running), prompts.long);
      await decodeRounds(running, { prompt, tokens: decodeTokens, key: '', threads, rounds, series });
      if (threads !== 1) continue;
      Object.assign(agreement, await agreementOf(running, 'r8', prompts.task));
      pagesLeft = await readyRounds(running, prompts.short, {
        folder,
        rounds,
        series,
        files: sizedFiles,
      });
    } finally {
      await closeAll(running);
    }
  }
  return { pages_left_in_cache: pagesLeft, ...agreement };
};

/** What requests for several adapters get that come at once. Returns what the report's setup says of it. */
const lots = async (
  there: readonly PeerKind[],
  model: BenchBase,
  options: { readonly folder: string; readonly series: Series },
): Promise<Report['setup']> => {
  const { folder, series } = options;
  const ourKind = ours(model.modelDir, { spin: true, rows: Math.max(...lotSizes) });
  await ourKind.install();
  const adapters = await lotAdapters(model, folder);
  const programs: LotProgram[] = [];
  for (const kind of [ourKind, ...there.filter(({ name }) => !name.startsWith(own))]) {
    const program = await lotProgram(kind, adapters, folder);
    if (program !== undefined) programs.push(program);
  }
  const agreement: Record<string, string> = {};
  const texts = promptsOf(model.modelDir).long;
  const asks = [...adapters.keys()].map((adapter, i) => ({
    adapter,
    ids: (texts[i] ?? []).slice(0, lotPromptTokens),
  }));
  for (const threads of threadCounts) {
    await lotRounds(programs, {
      threads,
      rounds: lotRoundsOf[threads],
      lots: lotSizes.map((size) => ({ key: `${size}`, asks: asks.slice(0, size) })),
      tokens: lotTokens,
      twoProcesses: () => true,
      series,
      agreement,
    });
  }
  return { lot_prompt_tokens: lotPromptTokens, lot_tokens: lotTokens, ...agreement };
};

/**
 * What a single stream gets from us, ONNX Runtime GenAI, llama.cpp and PEFT on the same model and adapters: all of them
 * running, asked one at a time in random order. Decode: tokens per second of us over the other's. Ready: our time from
 * a cold adapter file to the first token over the other's, the time to a first token with the adapter loaded taken off.
 * Lots: tokens per second of requests for several adapters at once, ours in one batch over each other's best way.
 */
export const peers = async (): Promise<Report> => {
  using scratch = scratchFolder();
  const model = benchBase('peers');
  if (smollm() === undefined)
    throw new Error('peers needs SmolLM2: the peers have no tiny model to compare with');
  const { there, leftOut } = await installed(chosen(kinds(model)));
  const options = { folder: scratch.path, series: new Series() };
  const { series } = options;
  const setup: Record<string, string | number> = {};
  if (parts.includes('single')) Object.assign(setup, await singleStreams(there, model, options));
  if (parts.includes('lots')) Object.assign(setup, await lots(there, model, options));
  const ratios = [
    ...decodeRatios(series),
    ...readyRatios(series),
    ...lotRatios(series, lotSizes, ['genai', 'llama', 'peft']),
  ];
  return report('peers', 'ms (per token; to the first token; of a whole lot; mib: MiB)', {
    results: Object.fromEntries([...series.all].map(([key, values]) => [key, variant(values)])),
    ratios: Object.fromEntries(ratios.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    setup: {
      model: model.label,
      prompt_tokens: promptTokens,
      decode_tokens: decodeTokens,
      rounds,
      left_out: leftOut,
      ...Object.fromEntries(there.map(({ name, what }) => [`peer_${name}`, what])),
      ...setup,
    },
  });
};
