import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../../../disk/durable.ts';
import type { Site } from '../../compiled/compile-target.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { Pairs } from '../adapters/pairs.ts';
import { Perturbation } from './perturbation.ts';
import { distance, eachIsItsOwn, strength } from './row-answers.ts';

/** Answers to fixed inputs: without an adapter, then with each of two; of each input. */
export type Answers = readonly (readonly Float32Array[])[];

type Answering = {
  readonly sites: readonly Site[];
  readonly feeds: (pairs: Pairs) => Feeds;
};

/** The answers of both graphs of a base model; `answer` gives those of one to all inputs. */
export const answersOf = async <S extends Answering>(
  graphs: { readonly base: S; readonly lora: S },
  answer: (session: S, feeds: Feeds) => Promise<readonly Float32Array[]>,
): Promise<Answers> => {
  const { base, lora } = graphs;
  const answers: (readonly Float32Array[])[] = [];
  const add = async (session: S, pairs: Pairs): Promise<void> => {
    const feeds = session.feeds(pairs);
    try {
      answers.push(await answer(session, feeds));
    } finally {
      feeds.release();
    }
  };
  await add(base, new Map());
  for (const seed of [2, 3]) {
    using adapter = new Perturbation(lora.sites, seed, strength);
    await add(lora, adapter.pairs);
  }
  return answers;
};

/**
 * Part of the range of an answer by which a provider may differ. With exact activations on the CPU, OpenVINO differs by less
 * than 0.0002 of it on SmolLM2 in int4; devices that compute in half precision need more room. Kernels of the CPU that round
 * activations to 8 bits differ by up to 1.6 of it there, on tokens out of context: they would prove nothing (docs/adr/0036).
 */
const maxDifference = 0.05;

const rangeOf = (values: Float32Array): number =>
  values.reduce((most, value) => Math.max(most, value), -Infinity) -
  values.reduce((least, value) => Math.min(least, value), Infinity);

/**
 * The largest difference of an answer, as a part of its range.
 * @throws Error when a provider does not give the answers of the CPU: too far from them, or nearer to those of another
 * adapter or another input
 */
export const compareAnswers = (got: Answers, expected: Answers): number => {
  const differences = got.flatMap((answers, adapter) =>
    answers.map((answer, input) => {
      const own = expected[adapter]?.[input] ?? new Float32Array(0);
      return distance(answer, own) / rangeOf(own);
    }),
  );
  const most = differences.reduce((max, part) => Math.max(max, part), 0);
  const percent = Number.isFinite(most) ? `${(100 * most).toFixed(1)} % of their range` : 'no numbers';
  if (!(most <= maxDifference)) {
    throw new Error(`its answers are not those of the CPU: they differ by ${percent}`);
  }
  for (const [adapter, answers] of got.entries()) {
    if (eachIsItsOwn(answers, expected, () => adapter)) continue;
    throw new Error('its answers are not those of the CPU: adapters or inputs are mixed up');
  }
  return most;
};

export type ProviderProof = {
  /** Of the graphs, the provider, the library and the machine. */
  readonly key: string;
  readonly cacheDir: string;
  /** Answers by the CPU with exact activations, asked for before anything is opened on the provider: one copy of the weights at a time. */
  readonly onCpu: () => Promise<Answers>;
};

/** Answers that a provider has to give; undefined once it has been proved that it does. */
export const expectedAnswers = async (proof: ProviderProof): Promise<Answers | undefined> =>
  existsSync(verdictOf(proof)) ? undefined : await proof.onCpu();

/**
 * Proves once per graph, provider, library and machine that a provider gives the answers of the CPU.
 * @throws Error, see {@link compareAnswers}
 */
export const proveProvider = async (
  proof: ProviderProof,
  expected: Answers | undefined,
  onProvider: () => Promise<Answers>,
): Promise<void> => {
  if (expected === undefined) return;
  const difference = compareAnswers(await onProvider(), expected);
  await writeDurable(verdictOf(proof), `differs from the CPU by ${difference} of the range of an answer\n`);
};

const verdictOf = ({ key, cacheDir }: ProviderProof): string => join(cacheDir, 'providers', key);
