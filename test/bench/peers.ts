import { join } from 'node:path';
import { smollm } from '../support/models.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { type BenchBase, benchBase, scratchFolder } from './base.ts';
import { decodeRounds, decodeTokens, promptThatGoesOn, sameTokens } from './peers/decode.ts';
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
import type { AdapterFiles, Peer, PeerKind, Running } from './peers/peer.ts';
import { promptsOf, promptTokens } from './peers/prompts.ts';
import { readyRounds } from './peers/ready.ts';
import { Series } from './peers/series.ts';
import { settledMemory } from './process-memory.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf } from './rounds.ts';

const rounds = roundsOf(9);
const threadCounts = [1, 2] as const;
const lotRoundsOf = { 1: roundsOf(3), 2: roundsOf(4) } as const;
/** Parts of this bench: one stream, and lots of requests for several adapters. */
const parts = process.env['ADAPTLET_BENCH_PARTS']?.split(',') ?? ['single', 'lots'];
const own = 'adaptlet';
/** With what GenAI answers fastest: from the exported graph without an adapter, from the injected one with one. */
const rivals = { base: 'genai-base', r8: 'genai' } as const;

/** All of them, or those that ADAPTLET_BENCH_PEERS names, ours always. */
const chosenKinds = (model: BenchBase): readonly PeerKind[] => {
  const all = [
    ours(model.modelDir, { spin: true }),
    ours(model.modelDir, { spin: false }),
    genai(model.modelDir, true),
    genai(model.modelDir, false),
    llama(model.configFile),
    peft(),
  ];
  const only = process.env['ADAPTLET_BENCH_PEERS']?.split(',');
  return all.filter(({ name }) => name === own || only === undefined || only.includes(name));
};

/** Installs the peers; one that cannot be had here is left out, and the report says so. */
const installed = async (kinds: readonly PeerKind[]) => {
  const there: PeerKind[] = [];
  const leftOut: string[] = [];
  for (const kind of kinds) {
    try {
      await kind.install();
      there.push(kind);
    } catch (error) {
      if (kind.name === own) throw error;
      console.error(`peers: ${kind.name} is left out: ${String(error)}`);
      leftOut.push(kind.name);
    }
  }
  return { there, leftOut };
};

const writeFiles = async (
  kind: PeerKind,
  model: BenchBase,
  folder: string,
): Promise<AdapterFiles | undefined> => {
  const { adapterFile } = kind;
  if (adapterFile === undefined) return undefined;
  return {
    r8: await adapterFile(model.allLinear, join(folder, `${kind.name}-r8`)),
    large: await adapterFile(join(folder, 'large'), join(folder, `${kind.name}-large`)),
  };
};

const startAll = async (
  kinds: readonly PeerKind[],
  files: ReadonlyMap<string, AdapterFiles | undefined>,
  threads: number,
): Promise<readonly Running[]> => {
  const started: Running[] = [];
  for (const kind of kinds.filter(({ onlyThreads }) => onlyThreads?.includes(threads) ?? true)) {
    console.error(`peers: starting ${kind.what}, ${threads} thread(s)`);
    started.push({ name: kind.name, peer: await kind.start(threads), files: files.get(kind.name) });
  }
  return started;
};

/** PSS with the base model after an answer, and with the adapter of rank 8 after another. */
const memoryOf = async (
  peers: readonly Running[],
  prompt: readonly number[],
  series: Series,
): Promise<void> => {
  for (const { name, peer, files } of peers) {
    await peer.generate(null, prompt, decodeTokens);
    series.add(`pss_base_${name}_mib`, (await settledMemory(peer.pid)).pss);
    if (files === undefined) continue;
    await peer.load('r8', files.r8);
    await peer.generate('r8', prompt, decodeTokens);
    series.add(`pss_r8_${name}_mib`, (await settledMemory(peer.pid)).pss);
  }
};

const peerOf = (peers: readonly Running[], wanted: string): Peer => {
  const found = peers.find(({ name }) => name === wanted);
  if (found === undefined) throw new Error(`${wanted} does not run`);
  return found.peer;
};

const loadAll = async (peers: readonly Running[]): Promise<void> => {
  for (const { peer, files } of peers) if (files !== undefined) await peer.load('r8', files.r8);
};

/** Per peer, how many greedy tokens of an answer with the adapter are ours. Other weights give other tokens. */
const agreementOf = async (
  peers: readonly Running[],
  prompt: readonly number[],
): Promise<Record<string, string>> => {
  const mine = peerOf(peers, own);
  const agreement: Record<string, string> = {};
  for (const { name, peer, files } of peers) {
    if (name === own || files === undefined) continue;
    const { same, of } = await sameTokens(mine, peer, prompt);
    agreement[`same_tokens_${name}`] = `${same} of ${of}`;
  }
  return agreement;
};

/** How many times as fast we are, as the median of the ratios within a round; undefined without both. */
const speed = (series: Series, mine: string, its: string): number | undefined => {
  const [a, b] = [series.get(mine), series.get(its)];
  if (a === undefined || b === undefined) return undefined;
  return quantile(
    a.map((value, i) => (b[i] ?? Number.NaN) / value),
    0.5,
  );
};

const decodeRatios = (series: Series): readonly (readonly [string, number | undefined])[] =>
  threadCounts.flatMap((threads) =>
    (['base', 'r8'] as const).flatMap((arm) => {
      const suffix = threads === 1 ? '' : `_t${threads}`;
      const over = (label: string, its: string, mine = own, more = '') =>
        [
          `decode_${arm}_over_${label}${suffix}${more}`,
          speed(series, `decode_${arm}_${mine}_t${threads}`, `decode_${arm}_${its}_t${threads}`),
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
  await writeSyntheticAdapter(join(folder, 'large'), model.configFile, { rank: 40, seed: 40 });
  const files = new Map<string, AdapterFiles | undefined>();
  for (const kind of there) files.set(kind.name, await writeFiles(kind, model, folder));
  const agreement: Record<string, string> = {};
  let pagesLeft = 0;
  for (const threads of threadCounts) {
    const started = await startAll(there, files, threads);
    try {
      if (threads === 1) await memoryOf(started, prompts.long[0] ?? [], series);
      else await loadAll(started);
      await decodeRounds(started, await promptThatGoesOn(peerOf(started, own), prompts.long), {
        threads,
        rounds,
        series,
      });
      if (threads !== 1) continue;
      Object.assign(agreement, await agreementOf(started, prompts.task));
      pagesLeft = await readyRounds(started, prompts.short, { folder, rounds, series });
    } finally {
      await Promise.all(started.map(({ peer }) => peer.close()));
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
  for (const threads of threadCounts)
    await lotRounds(programs, { threads, rounds: lotRoundsOf[threads], texts, series, agreement });
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
  const { there, leftOut } = await installed(chosenKinds(model));
  const options = { folder: scratch.path, series: new Series() };
  const { series } = options;
  const setup: Record<string, string | number> = {};
  if (parts.includes('single')) Object.assign(setup, await singleStreams(there, model, options));
  if (parts.includes('lots')) Object.assign(setup, await lots(there, model, options));
  const ratios = [
    ...decodeRatios(series),
    ...readyRatios(series),
    ...lotRatios(series, own, ['genai', 'llama', 'peft']),
  ];
  return report('peers', 'ms (per token; to the first token; of a whole lot; mib: MiB)', {
    results: Object.fromEntries([...series.all].map(([key, values]) => [key, variant(values)])),
    ratios: Object.fromEntries(ratios.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    setup: {
      model: model.label,
      prompt_tokens: promptTokens,
      decode_tokens: decodeTokens,
      rounds,
      left_out: leftOut.join(' ') || 'none',
      ...Object.fromEntries(there.map(({ name, what }) => [`peer_${name}`, what])),
      ...setup,
    },
  });
};
