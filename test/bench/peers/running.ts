import { join } from 'node:path';
import { settledMemory } from '../process-memory.ts';
import type { Peer, PeerKind } from './peer.ts';
import type { Series } from './series.ts';

/** The name of ours, which is always measured. */
export const own = 'adaptlet';

/** A peer under way. */
export type Running = {
  readonly name: string;
  readonly peer: Peer;
  /** What it is asked: `base`, or an adapter that is loaded. */
  readonly arms: readonly string[];
};

/** Which of all peers are measured: those that ADAPTLET_BENCH_PEERS names, ours always. */
export const chosen = (all: readonly PeerKind[]): readonly PeerKind[] => {
  const only = process.env['ADAPTLET_BENCH_PEERS']?.split(',');
  return all.filter(({ name }) => name === own || only === undefined || only.includes(name));
};

/** Installs peers; one that cannot be had here is left out, and the report says so. */
export const installed = async (kinds: readonly PeerKind[]) => {
  const there: PeerKind[] = [];
  const leftOut: string[] = [];
  for (const kind of kinds) {
    try {
      await kind.install();
      there.push(kind);
    } catch (error) {
      if (kind.name === own) throw error;
      console.error(`bench: ${kind.name} is left out: ${String(error)}`);
      leftOut.push(kind.name);
    }
  }
  return { there, leftOut: leftOut.join(' ') || 'none' };
};

/** Which of all arms are measured: those that ADAPTLET_BENCH_ARMS names. */
export const chosenArms = <Arm extends string>(all: readonly Arm[]): readonly Arm[] => {
  const only = process.env['ADAPTLET_BENCH_ARMS']?.split(',');
  return only === undefined ? all : all.filter((arm) => only.includes(arm));
};

/** Files of an adapter by the peer's name. */
export type PeerFiles = ReadonlyMap<string, string>;

/** An adapter as each peer loads it that has adapters; `name` is that of the files, after the peer's. */
export const filesOf = async (
  kinds: readonly PeerKind[],
  peftFolder: string,
  { folder, name }: { readonly folder: string; readonly name: string },
): Promise<PeerFiles> => {
  const files = new Map<string, string>();
  for (const { name: peer, adapterFile } of kinds)
    if (adapterFile !== undefined)
      files.set(peer, await adapterFile(peftFolder, join(folder, `${peer}-${name}`)));
  return files;
};

export type StartOptions = {
  readonly threads: number;
  /** By the adapter's arm: its name in answers and in the report. A peer without a file of it is not asked for it. */
  readonly files: ReadonlyMap<string, PeerFiles>;
  /** What memory is measured after; undefined: it is not measured. */
  readonly memory?: { readonly prompt: readonly number[]; readonly tokens: number } | undefined;
  readonly series: Series;
};

/** Loads the adapters; memory with the base model after an answer, and with the first adapter after another. */
const settle = async ({ name, peer }: Running, options: StartOptions): Promise<void> => {
  const { files, memory, series } = options;
  const measure = async (one: string): Promise<void> => {
    if (memory === undefined) return;
    await peer.generate(one === 'base' ? null : one, memory.prompt, memory.tokens);
    const { pss, rss } = await settledMemory(peer.pid);
    series.add(`pss_${one}_${name}_mib`, pss);
    series.add(`rss_${one}_${name}_mib`, rss);
  };
  await measure('base');
  const [first] = files.keys();
  for (const [arm, ofPeers] of files) {
    const file = ofPeers.get(name);
    if (file === undefined) continue;
    await peer.load(arm, file);
    if (arm === first) await measure(arm);
  }
};

/** Starts peers and loads the adapters; tells how long the starts took, and what memory they take. */
export const startAll = async (
  kinds: readonly PeerKind[],
  options: StartOptions,
): Promise<readonly Running[]> => {
  const { threads, files, series } = options;
  const all: Running[] = [];
  for (const kind of kinds.filter(({ onlyThreads }) => onlyThreads?.includes(threads) ?? true)) {
    const { name, what } = kind;
    console.error(`bench: starting ${what}, ${threads} thread(s)`);
    const begun = performance.now();
    const peer = await kind.start(threads);
    series.add(`start_${name}_t${threads}`, performance.now() - begun);
    const adapters = [...files].flatMap(([arm, ofPeers]) => (ofPeers.has(name) ? [arm] : []));
    all.push({ name, peer, arms: chosenArms(['base', ...adapters]) });
  }
  // With all of them there: a page that several map counts in part.
  for (const running of all) await settle(running, options);
  return all;
};

export const closeAll = async (all: readonly Running[]): Promise<void> => {
  await Promise.all(all.map(({ peer }) => peer.close()));
};

/** Ours among those under way. */
export const ourOwn = (peers: readonly Running[]): Running => {
  const found = peers.find(({ name }) => name === own);
  if (found === undefined) throw new Error(`${own} does not run`);
  return found;
};

const compared = 16;

/**
 * Per peer, how many of our greedy tokens of an answer with the adapter it gives as well, from the first on; an end
 * token of ours is left out. Other weights give other tokens. Nothing where the adapter is not measured.
 */
export const agreementOf = async (
  peers: readonly Running[],
  arm: string,
  prompt: readonly number[],
): Promise<Record<string, string>> => {
  const ours = ourOwn(peers);
  if (!ours.arms.includes(arm)) return {};
  const mine = (await ours.peer.generate(arm, prompt, compared)).ids;
  const expected = mine.length < compared ? mine.slice(0, -1) : mine;
  const agreement: Record<string, string> = {};
  for (const { name, peer, arms } of peers) {
    if (name === own || !arms.includes(arm)) continue;
    const its = (await peer.generate(arm, prompt, compared)).ids;
    const differs = expected.findIndex((id, i) => id !== its[i]);
    agreement[`same_tokens_${name}`] = `${differs < 0 ? expected.length : differs} of ${expected.length}`;
  }
  return agreement;
};
