import type { Answering } from './prove-prepared.ts';

/** Instruction sets whose products were measured to be faster on every machine so far, and the blocks: docs/adr/0097. */
const known: ReadonlySet<string> = new Set(['vnni']);
const knownBlock = 32;

/** ONNX Runtime's own are faster in wider blocks than in these, so that the machine has to measure. */
export const areKnownFaster = (level: string, linears: readonly { readonly block: number }[] = []): boolean =>
  known.has(level) && linears.every(({ block }) => block === knownBlock);

/** Rounds in which both run by turns. */
const rounds = 15;
/** Of so many rounds one has to take less time in all: by chance two that are alike come to it in 2 of 100 comparisons. */
const decisive = 12;
/** Tokens of a piece of a prompt: two tiles of native/products.c. */
export const pieceTokens = 16;
/** Token ids that every vocabulary has. */
const idOf = (at: number): number => 3 + (at % 13);

/** Times of the native operator over those of ONNX Runtime, round by round. */
export type StepTimes = {
  /** The median. */
  readonly ratio: number;
  /** Rounds in which the native operator took less, and in which it took more. */
  readonly faster: number;
  readonly slower: number;
};

/** Of a graph, with one thread. */
export type ProductsTimes = { readonly token: StepTimes; readonly piece: StepTimes };

/** Of as many of one as of the other. Undefined: one of them is 0, so ticks of the clock are longer than what is measured. */
export const comparedTimes = (ours: readonly number[], theirs: readonly number[]): StepTimes | undefined => {
  if ([...ours, ...theirs].includes(0)) return undefined;
  const ratios = ours.map((time, round) => time / (theirs[round] ?? Number.NaN)).sort((a, b) => a - b);
  return {
    ratio: ratios[ratios.length >> 1] ?? Number.NaN,
    faster: ratios.filter((ratio) => ratio < 1).length,
    slower: ratios.filter((ratio) => ratio > 1).length,
  };
};

/** True where one kind of step is faster by more than noise, and none slower. */
export const areFaster = ({ token, piece }: ProductsTimes): boolean =>
  [token, piece].some(({ faster }) => faster >= decisive) &&
  [token, piece].every(({ slower }) => slower < decisive);

const oneOf = ({ ratio, faster }: StepTimes, of: string): string =>
  `${ratio.toFixed(2)} of ONNX Runtime's time for ${of} (less in ${faster} of ${rounds} rounds)`;

/** In words. */
export const timesText = ({ token, piece }: ProductsTimes): string =>
  `${oneOf(token, 'one token')}, ${oneOf(piece, `${pieceTokens} tokens of a prompt`)}`;

type Pair = { readonly ours: Answering; readonly theirs: Answering };

const stepTimes = async (
  { ours, theirs }: Pair,
  tokens: number,
  processorTime: () => number,
): Promise<StepTimes | undefined> => {
  const ids = Array.from({ length: tokens }, (_, at) => idOf(at));
  const timed = async (graph: Answering): Promise<number> => {
    const from = processorTime();
    await graph.answer(ids, [tokens - 1]);
    return processorTime() - from;
  };
  const times: { readonly ours: number[]; readonly theirs: number[] } = { ours: [], theirs: [] };
  // The first round is not counted: it reads weights for the first time.
  for (let round = -1; round < rounds; round += 1) {
    // Neither is always the one that runs after the other.
    const turns = round % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const);
    const took = { ours: 0, theirs: 0 };
    for (const turn of turns) took[turn] = await timed(turn === 'ours' ? ours : theirs);
    if (round < 0) continue;
    times.ours.push(took.ours);
    times.theirs.push(took.theirs);
  }
  return comparedTimes(times.ours, times.theirs);
};

/**
 * Times of whole graphs, which read weights from memory as in service. Both have one thread, and `processorTime` is that of this process, in
 * any unit: what others do on the machine makes a step late, but hardly takes more of it. Undefined where its ticks are longer than a step.
 */
export const timesByTurns = async (
  pair: Pair,
  processorTime: () => number,
): Promise<ProductsTimes | undefined> => {
  const token = await stepTimes(pair, 1, processorTime);
  const piece = await stepTimes(pair, pieceTokens, processorTime);
  return token === undefined || piece === undefined ? undefined : { token, piece };
};
