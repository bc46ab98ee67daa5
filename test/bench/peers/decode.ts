import { shuffler } from '../rounds.ts';
import { firstMs, type Peer, type Running, type Timed } from './peer.ts';
import type { Series } from './series.ts';

export const decodeTokens = 32;

/** Milliseconds per token after the first one. */
const decodeMs = ({ atMs }: Timed): number => {
  const [first = Number.NaN] = atMs;
  if (atMs.length < decodeTokens) throw new Error(`an answer of ${atMs.length} tokens, not ${decodeTokens}`);
  return ((atMs.at(-1) ?? Number.NaN) - first) / (atMs.length - 1);
};

/** The first prompt that we answer with as many tokens as are measured, with and without the adapter. */
export const promptThatGoesOn = async (
  peer: Peer,
  prompts: readonly (readonly number[])[],
): Promise<readonly number[]> => {
  for (const prompt of prompts) {
    const answers = [
      await peer.generate(null, prompt, decodeTokens),
      await peer.generate('r8', prompt, decodeTokens),
    ];
    if (answers.every(({ ids }) => ids.length === decodeTokens)) return prompt;
  }
  throw new Error(`every prompt of this bench is answered with fewer than ${decodeTokens} tokens`);
};

/** Decode and prefill of every peer, one at a time, in random order within a round. */
export const decodeRounds = async (
  peers: readonly Running[],
  prompt: readonly number[],
  options: { readonly threads: number; readonly rounds: number; readonly series: Series },
): Promise<void> => {
  const { threads, rounds, series } = options;
  const shuffle = shuffler(threads);
  const measure = async ({ name, peer, files }: Running, keep: boolean): Promise<void> => {
    for (const arm of files === undefined ? (['base'] as const) : shuffle(['base', 'r8'] as const)) {
      const timed = await peer.generate(arm === 'base' ? null : 'r8', prompt, decodeTokens);
      if (!keep) continue;
      series.add(`decode_${arm}_${name}_t${threads}`, decodeMs(timed));
      series.add(`first_${arm}_${name}_t${threads}`, firstMs(timed));
    }
  };
  for (const running of peers) await measure(running, false);
  for (let round = 1; round <= rounds; round += 1) {
    for (const running of shuffle(peers)) await measure(running, true);
    console.error(`peers: decode with ${threads} thread(s), round ${round} of ${rounds}`);
  }
};

/** How many of our greedy tokens a peer gives as well, from the first on; an end token of ours is left out. */
export const sameTokens = async (ourPeer: Peer, other: Peer, prompt: readonly number[]) => {
  const count = 16;
  const [mine, its] = [
    await ourPeer.generate('r8', prompt, count),
    await other.generate('r8', prompt, count),
  ];
  const compared = mine.ids.length < count ? mine.ids.slice(0, -1) : mine.ids;
  const differs = compared.findIndex((id, i) => id !== its.ids[i]);
  return { same: differs < 0 ? compared.length : differs, of: compared.length };
};
