import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Feeds } from '../adapters/feeds.ts';
import type { Operators } from '../ort/profile.ts';
import { cpuProvider, readProvider } from '../ort/providers.ts';
import { answersOf, expectedAnswers, proveProvider } from '../proofs/prove-provider.ts';
import { machineKey } from '../session/runtime-options.ts';

export type Session = Parameters<typeof answersOf>[0]['base'] & {
  takeOperators(): Promise<Operators>;
  release(): void;
};

/** Both graphs of a base model on one provider. */
export type Pair<S> = { readonly base: S; readonly lora: S };

export type OnProviderOptions<S extends Session> = {
  readonly provider: string;
  /** Of the graph with LoRA inputs. */
  readonly graphDigest: string;
  readonly cacheDir: string;
  /** Opens one of the graphs on the provider. `profile` as in OnnxSessionOptions. */
  readonly open: (graph: keyof Pair<S>, profile?: string) => Promise<S>;
  /** Opens it on the CPU, with activations that no kernel rounds to be faster. */
  readonly openExact: (graph: keyof Pair<S>) => Promise<S>;
  /** What one session answers to fixed inputs, with one adapter. */
  readonly answer: (session: S, feeds: Feeds) => Promise<readonly Float32Array[]>;
};

export type OpenedPair<S> = Pair<S> & {
  /** Operators of the graph without LoRA, by the provider that runs them; empty on the CPU, where there is one only. */
  readonly operators: Operators;
  /** What was proved of the graphs holds for this key only. */
  readonly proofKey: string;
};

const openPair = async <S extends Session>(open: (graph: keyof Pair<S>) => Promise<S>): Promise<Pair<S>> => {
  const base = await open('base');
  try {
    return { base, lora: await open('lora') };
  } catch (error) {
    base.release();
    throw error;
  }
};

const release = ({ base, lora }: Pair<Session>): void => {
  base.release();
  lora.release();
};

/** A verdict is about a graph on a provider with its options, by one build of the library, with what this processor has. */
export const proofKeyOf = (provider: string, graphDigest: string, machine = machineKey()): string =>
  createHash('sha256').update([graphDigest, provider, machine].join('\n')).digest('hex');

/**
 * Opens both graphs of a base model on a provider. Any but the CPU has to give the answers that the CPU gives with exact activations,
 * which is proved once, and has to run something of the graph.
 * @throws what `open` throws; Error when the provider computes something else, or nothing
 */
export const openOnProvider = async <S extends Session>(
  options: OnProviderOptions<S>,
): Promise<OpenedPair<S>> => {
  const { provider, graphDigest, cacheDir, open, openExact, answer } = options;
  const key = proofKeyOf(provider, graphDigest);
  if (provider === cpuProvider) {
    return { ...(await openPair((graph) => open(graph))), operators: {}, proofKey: key };
  }
  const onCpu = async () => {
    const pair = await openPair(openExact);
    try {
      return await answersOf(pair, answer);
    } finally {
      release(pair);
    }
  };
  const expected = await expectedAnswers({ key, cacheDir, onCpu });
  await mkdir(cacheDir, { recursive: true });
  const profile = join(cacheDir, `operators-${key.slice(0, 12)}`);
  const pair = await openPair((graph) => open(graph, graph === 'base' ? profile : undefined));
  try {
    await proveProvider({ key, cacheDir, onCpu }, expected, () => answersOf(pair, answer));
    // Where it was proved before, nothing has run yet.
    if (expected === undefined) await runOnce(pair.base, answer);
    const operators = await pair.base.takeOperators();
    if ((operators[readProvider(provider).name] ?? 0) === 0) {
      throw new Error('it takes no operator of the graph: all would run on the CPU');
    }
    return { ...pair, operators, proofKey: key };
  } catch (error) {
    release(pair);
    throw error;
  }
};

const runOnce = async <S extends Session>(
  session: S,
  answer: OnProviderOptions<S>['answer'],
): Promise<void> => {
  const feeds = session.feeds(new Map());
  try {
    await answer(session, feeds);
  } finally {
    feeds.release();
  }
};
