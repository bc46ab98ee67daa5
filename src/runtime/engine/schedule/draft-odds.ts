import type { Guess } from './token-history.ts';

/** Where a guess comes from: the request itself, or earlier answers. */
export type Source = 'own' | 'earlier';

/** Guesses that are about as likely to be right: one of a few dozen kinds. */
export type GuessKind = string;

const longest = 6;
/** Guesses that the expectation before any counts as. */
const priorWeight = 2;
/** Guesses of a kind that are remembered about: what was right long ago counts less and less. */
const remembered = 32;

const agreement = ({ places, votes }: Guess): 'once' | 'all' | 'most' | 'some' => {
  if (places === 1) return 'once';
  if (votes === places) return 'all';
  return votes / places >= 0.6 ? 'most' : 'some';
};

export const kindOf = (source: Source, guess: Guess): GuessKind =>
  `${source} ${Math.min(guess.length, longest)} ${agreement(guess)}`;

/** What is expected of a guess before any of its kind was seen: cautious. */
const prior = ({ length, places, votes }: Guess): number =>
  (Math.min(length, longest) / (longest + 1)) * (votes / places);

/** How often guesses of each kind were right of late. */
export class DraftOdds {
  readonly #seen = new Map<GuessKind, { right: number; all: number }>();

  of(kind: GuessKind, guess: Guess): number {
    const { right, all } = this.#seen.get(kind) ?? { right: 0, all: 0 };
    return (right + priorWeight * prior(guess)) / (all + priorWeight);
  }

  saw(kind: GuessKind, isRight: boolean): void {
    const seen = this.#seen.get(kind) ?? { right: 0, all: 0 };
    seen.all += 1;
    seen.right += isRight ? 1 : 0;
    if (seen.all > remembered) {
      seen.all /= 2;
      seen.right /= 2;
    }
    this.#seen.set(kind, seen);
  }
}
