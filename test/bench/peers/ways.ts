import type { LotAsk, Peer } from './peer.ts';

/** How a program serves a lot of requests for different adapters. */
export type How = 'one_by_one' | 'together' | 'two_processes';

/** What came of a lot. */
export type Answered = {
  /** Until the last answer is complete. */
  readonly ms: number;
  /** Tokens of the answers, in the order of the requests. */
  readonly answers: readonly (readonly number[])[];
};

export type Way = {
  readonly program: string;
  readonly how: How;
  run(asks: readonly LotAsk[], tokens: number): Promise<Answered>;
};

type Answers = Answered['answers'];

const timed = async (work: () => Promise<Answers>): Promise<Answered> => {
  const started = performance.now();
  const answers = await work();
  return { ms: performance.now() - started, answers };
};

const oneByOne = async (peer: Peer, asks: readonly LotAsk[], tokens: number): Promise<Answers> => {
  const answers: (readonly number[])[] = [];
  for (const { adapter, ids } of asks) answers.push((await peer.generate(adapter, ids, tokens)).ids);
  return answers;
};

const inOneBatch = async (peer: Peer, asks: readonly LotAsk[], tokens: number): Promise<Answers> => {
  const answers = (await peer.generateTogether?.(asks, tokens)) ?? [];
  return answers.map(({ ids }) => ids);
};

/** Those that batch take a part each at once; the others take the next request whenever they are free. */
const shared = async (peers: readonly Peer[], asks: readonly LotAsk[], tokens: number): Promise<Answers> => {
  if (peers.every((peer) => peer.generateTogether !== undefined)) {
    const size = Math.ceil(asks.length / peers.length);
    const parts = peers.map((peer, i) => inOneBatch(peer, asks.slice(i * size, (i + 1) * size), tokens));
    return (await Promise.all(parts)).flat();
  }
  const answers: (readonly number[])[] = asks.map(() => []);
  const left = [...asks.entries()];
  const serve = async (peer: Peer): Promise<void> => {
    for (;;) {
      const [index, ask] = left.shift() ?? [];
      if (index === undefined || ask === undefined) return;
      answers[index] = (await peer.generate(ask.adapter, ask.ids, tokens)).ids;
    }
  };
  await Promise.all(peers.map((peer) => serve(peer)));
  return answers;
};

/** What one process can do: one request at a time, and a batch where it knows how. */
export const waysOfOne = (program: string, peer: Peer): readonly Way[] => [
  {
    program,
    how: 'one_by_one',
    run: (asks, tokens) => timed(() => oneByOne(peer, asks, tokens)),
  },
  ...(peer.generateTogether === undefined
    ? []
    : [
        {
          program,
          how: 'together' as const,
          run: (asks: readonly LotAsk[], tokens: number) => timed(() => inOneBatch(peer, asks, tokens)),
        },
      ]),
];

/** Several processes of a program share the lot. */
export const wayOfTwo = (program: string, peers: readonly [Peer, Peer]): Way => ({
  program,
  how: 'two_processes',
  run: (asks, tokens) => timed(() => shared(peers, asks, tokens)),
});

/** A way and its median milliseconds so far. */
export type Measured = Pick<Way, 'program' | 'how'> & { readonly ms: number };

/**
 * Whether a way is asked again. Those that take more than twice as long as the fastest of all are not, but for the
 * best of its program, which has a second round.
 */
export const isAskedAgain = (way: Measured, all: readonly Measured[], round: number): boolean => {
  const fastest = Math.min(...all.map(({ ms }) => ms));
  if (way.ms <= 2 * fastest) return true;
  const best = Math.min(...all.filter(({ program }) => program === way.program).map(({ ms }) => ms));
  return round === 2 && way.ms === best;
};
