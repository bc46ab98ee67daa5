import { shuffler } from '../rounds.ts';
import { firstMs, type Peer, type Timed } from './peer.ts';
import type { Running } from './running.ts';
import type { Series } from './series.ts';

export const decodeTokens = 32;

/** Milliseconds per token after the first one. */
const decodeMs = ({ atMs }: Timed): number =>
  ((atMs.at(-1) ?? Number.NaN) - firstMs({ atMs })) / (atMs.length - 1);

const ask = (peer: Peer, arm: string, prompt: readonly number[], tokens: number): Promise<Timed> =>
  peer.generate(arm === 'base' ? null : arm, prompt, tokens);

/** The first prompt that a peer answers with as many tokens as are measured, whatever it is asked. */
export const promptThatGoesOn = async (
  { peer, arms }: Running,
  prompts: readonly (readonly number[])[],
): Promise<readonly number[]> => {
  for (const prompt of prompts) {
    const lengths: number[] = [];
    for (const arm of arms) lengths.push((await ask(peer, arm, prompt, decodeTokens)).ids.length);
    if (lengths.every((length) => length === decodeTokens)) return prompt;
  }
  throw new Error(`every prompt of this bench is answered with fewer than ${decodeTokens} tokens`);
};

export type DecodeOptions = {
  readonly prompt: readonly number[];
  /** Of an answer; 1 measures prefill only. */
  readonly tokens: number;
  /** Of the numbers, after `decode` and `first`. */
  readonly key: string;
  readonly threads: number;
  readonly rounds: number;
  readonly series: Series;
};

/** Decode and prefill of every peer, one at a time, in random order within a round. */
export const decodeRounds = async (peers: readonly Running[], options: DecodeOptions): Promise<void> => {
  const { prompt, tokens, key, threads, rounds, series } = options;
  const shuffle = shuffler(threads);
  const measure = async ({ name, peer, arms }: Running, keep: boolean): Promise<void> => {
    for (const arm of shuffle(arms)) {
      const timed = await ask(peer, arm, prompt, tokens);
      if (timed.atMs.length < tokens)
        throw new Error(`an answer of ${timed.atMs.length} tokens, not ${tokens}`);
      if (!keep) continue;
      if (tokens > 1) series.add(`decode${key}_${arm}_${name}_t${threads}`, decodeMs(timed));
      series.add(`first${key}_${arm}_${name}_t${threads}`, firstMs(timed));
    }
  };
  // What is there for the first time only.
  if (tokens > 1) for (const running of peers) await measure(running, false);
  for (let round = 1; round <= rounds; round += 1) {
    for (const running of shuffle(peers)) await measure(running, true);
    console.error(`bench: prompt of ${prompt.length} with ${threads} thread(s), round ${round} of ${rounds}`);
  }
};
