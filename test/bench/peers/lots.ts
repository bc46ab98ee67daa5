import { join } from 'node:path';
import { smollm } from '../../support/models.ts';
import { writeSyntheticAdapter } from '../../support/synthetic-adapter.ts';
import type { BenchBase } from '../base.ts';
import { quantile } from '../report.ts';
import { shuffler } from '../rounds.ts';
import type { LotAsk, Peer, PeerKind } from './peer.ts';
import { own } from './running.ts';
import type { Series } from './series.ts';
import { type Answered, isAskedAgain, type Measured, type Way, wayOfTwo, waysOfOne } from './ways.ts';

/** Requests of a lot, each for another adapter; ADAPTLET_BENCH_LOTS names fewer sizes. */
export const lotSizes: readonly number[] = (process.env['ADAPTLET_BENCH_LOTS'] ?? '4,8')
  .split(',')
  .map(Number);
export const lotPromptTokens = 64;
export const lotTokens = 32;

/** PEFT folders by name: four trained ones, then random ones of rank 8 on every linear. */
export const lotAdapters = async (model: BenchBase, folder: string): Promise<ReadonlyMap<string, string>> => {
  const trained = smollm()?.adapters ?? '';
  const names = ['json-extract-v1', 'json-extract-v2', 'json-extract-v3-regressed', 'pirate'];
  const folders = new Map(names.map((name) => [name, join(trained, name)]));
  for (let seed = 1; folders.size < Math.max(...lotSizes); seed += 1) {
    const made = join(folder, `random-${seed}`);
    await writeSyntheticAdapter(made, model.configFile, { rank: 8, seed });
    folders.set(`random-${seed}`, made);
  }
  return folders;
};

/** Requests that come at once. */
export type Lot = {
  /** Of its numbers, after `lot`. */
  readonly key: string;
  readonly asks: readonly LotAsk[];
  /** The only program that is asked; undefined: all. */
  readonly only?: string;
};

/** A program, and its files of the adapters by name. */
export type LotProgram = { readonly kind: PeerKind; readonly files: ReadonlyMap<string, string> };

/** undefined for one that has no adapters. */
export const lotProgram = async (
  kind: PeerKind,
  adapters: ReadonlyMap<string, string>,
  folder: string,
): Promise<LotProgram | undefined> => {
  const { adapterFile, name } = kind;
  if (adapterFile === undefined) return undefined;
  const files = new Map<string, string>();
  for (const [adapter, source] of adapters)
    files.set(adapter, await adapterFile(source, join(folder, `lot-${name}-${adapter}`)));
  return { kind, files };
};

const startLoaded = async ({ kind, files }: LotProgram, threads: number): Promise<Peer> => {
  const peer = await kind.start(threads);
  for (const [name, file] of files) await peer.load(name, file);
  return peer;
};

const keyOf = (lot: string, { program, how }: Pick<Way, 'program' | 'how'>, threads: number): string =>
  `lot${lot}_${program}_${how}_t${threads}`;

const checkLengths = ({ program, how }: Way, answers: Answered['answers'], tokens: number): void => {
  if (answers.every(({ length }) => length === tokens)) return;
  const lengths = answers.map(({ length }) => length).join(', ');
  throw new Error(`${program} ${how} gave answers of ${lengths} tokens, not of ${tokens}`);
};

/** How many of our first 16 tokens of each answer the other program gives as well, from the first on. */
const sameAs = (mine: Answered, its: Answered): string => {
  const compared = 16;
  const same = mine.answers.map((ids, i) => {
    const differs = ids.slice(0, compared).findIndex((id, at) => id !== its.answers[i]?.[at]);
    return differs < 0 ? compared : differs;
  });
  return `${same.reduce((sum, one) => sum + one, 0)} of ${compared * same.length}`;
};

export type LotOptions = {
  readonly threads: number;
  readonly rounds: number;
  /** The last one is what answers are compared in. */
  readonly lots: readonly Lot[];
  /** Of an answer. */
  readonly tokens: number;
  /** Which programs also run twice with one thread each where there are two threads. */
  readonly twoProcesses: (program: string) => boolean;
  readonly series: Series;
  /** Told, per program, how many of its tokens are ours. */
  readonly agreement: Record<string, string>;
};

const measureWays = async (ways: readonly Way[], options: LotOptions): Promise<void> => {
  const { threads, rounds, lots, tokens, series, agreement } = options;
  const shuffle = shuffler(threads);
  const last = new Map<Way, Answered>();
  const waysOf = ({ key, only }: Lot, round: number): readonly Way[] => {
    const all = ways.filter(({ program }) => only === undefined || program === only);
    if (round === 1) return all;
    const measured = (way: Way): Measured => {
      const ms = series.get(keyOf(key, way, threads)) ?? [];
      return { program: way.program, how: way.how, ms: quantile(ms, 0.5) };
    };
    return all.filter((way) => isAskedAgain(measured(way), all.map(measured), round));
  };
  for (const way of ways) await way.run(lots.at(-1)?.asks ?? [], 2);
  for (let round = 1; round <= rounds; round += 1) {
    for (const lot of lots) {
      for (const way of shuffle(waysOf(lot, round))) {
        const answered = await way.run(lot.asks, tokens);
        checkLengths(way, answered.answers, tokens);
        series.add(keyOf(lot.key, way, threads), answered.ms);
        if (lot === lots.at(-1)) last.set(way, answered);
      }
    }
    console.error(`bench: lots with ${threads} thread(s), round ${round} of ${rounds}`);
  }
  const [reference] = ways;
  const mine = reference && last.get(reference);
  for (const [{ program, how }, its] of last) {
    if (mine === undefined || its === mine) continue;
    agreement[`lot_same_tokens_${program}_${how}_t${threads}`] = sameAs(mine, its);
  }
};

/**
 * The time that each program needs for lots of requests, in every way that it can. `programs`: ours first, whose
 * tokens the others' are compared with.
 */
export const lotRounds = async (programs: readonly LotProgram[], options: LotOptions): Promise<void> => {
  const { threads, twoProcesses } = options;
  const running: Peer[] = [];
  const start = async (program: LotProgram, threadCount: number): Promise<Peer> => {
    const peer = await startLoaded(program, threadCount);
    running.push(peer);
    return peer;
  };
  try {
    const ways: Way[] = [];
    for (const program of programs) {
      const { name } = program.kind;
      console.error(`bench: starting ${name} for lots, ${threads} thread(s)`);
      ways.push(...waysOfOne(name, await start(program, threads)));
      if (threads === 2 && twoProcesses(name))
        ways.push(wayOfTwo(name, [await start(program, 1), await start(program, 1)]));
    }
    await measureWays(ways, options);
  } finally {
    await Promise.all(running.map((peer) => peer.close()));
  }
};

const bestOf = (series: Series, prefix: string, suffixes: readonly string[]): number | undefined => {
  const all = [...series.all].filter(
    ([key]) => key.startsWith(prefix) && suffixes.some((suffix) => key.endsWith(suffix)),
  );
  return all.length === 0 ? undefined : Math.min(...all.map(([, values]) => quantile(values, 0.5)));
};

/**
 * How many times as fast as another program's best way our batch is. On two cores one thread, or one process per core, is a
 * way as well; `_t1`: one thread for everyone.
 */
export const lotRatios = (
  series: Series,
  lots: readonly (string | number)[],
  others: readonly string[],
): readonly (readonly [string, number | undefined])[] =>
  lots.flatMap((lot) =>
    ([2, 1] as const).flatMap((threads) => {
      const suffix = threads === 1 ? '_t1' : '';
      const mine = series.get(keyOf(`${lot}`, { program: own, how: 'together' }, threads));
      return others.map((program) => {
        const its = bestOf(series, `lot${lot}_${program}_`, threads === 1 ? ['_t1'] : ['_t1', '_t2']);
        const ratio = mine === undefined || its === undefined ? undefined : its / quantile(mine, 0.5);
        return [`mixed${lot}_over_${program}${suffix}`, ratio] as const;
      });
    }),
  );
