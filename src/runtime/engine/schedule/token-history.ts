/** What is expected to come next, and how much speaks for it. */
export type Guess = {
  readonly token: number;
  /** Tokens before it that are the same as where it came before, as far as they are looked at. */
  readonly length: number;
  /** Places with as many tokens in common, and those of them where it came next. */
  readonly places: number;
  readonly votes: number;
};

/** Tokens that are compared at most. */
export const comparedTokens = 8;
/** Of the places where a token stands, the last ones are looked at. */
const maxPlaces = 64;
/** Nothing is expected across it. */
const gap = -1;

/** Tokens in the order in which they came, and what came after what. */
export class TokenHistory {
  readonly #ids: number[] = [];
  readonly #places = new Map<number, number[]>();

  get length(): number {
    return this.#ids.length;
  }

  push(id: number): void {
    const places = this.#places.get(id);
    if (places === undefined) this.#places.set(id, [this.#ids.length]);
    else places.push(this.#ids.length);
    this.#ids.push(id);
  }

  /** What comes next has nothing to do with what came before. */
  pause(): void {
    this.#ids.push(gap);
  }

  /** A new one of its last tokens, about so many: from the first gap among them on. */
  shortened(tokens: number): TokenHistory {
    const kept = new TokenHistory();
    const ids = this.#ids.slice(-tokens);
    for (const id of ids.slice(ids.indexOf(gap) + 1)) {
      if (id === gap) kept.pause();
      else kept.push(id);
    }
    return kept;
  }

  /**
   * What came most often after the longest end of `tail` that is here, of equals what came last; undefined where not even its last
   * token is.
   */
  after(tail: readonly number[]): Guess | undefined {
    const last = tail.at(-1);
    const places = last === undefined ? undefined : this.#places.get(last);
    if (places === undefined) return undefined;
    let longest = 0;
    let next: number[] = [];
    for (let index = places.length - 1; index >= Math.max(0, places.length - maxPlaces); index -= 1) {
      const place = places[index] ?? 0;
      const token = this.#ids[place + 1] ?? gap;
      if (token === gap) continue;
      const length = this.#inCommon(place, tail);
      if (length < longest) continue;
      if (length > longest) next = [];
      longest = length;
      next.push(token);
    }
    return longest === 0 ? undefined : { ...mostOf(next), length: longest, places: next.length };
  }

  /** Tokens up to a place that are those which `tail` ends with. */
  #inCommon(place: number, tail: readonly number[]): number {
    const most = Math.min(comparedTokens, tail.length, place + 1);
    let count = 1;
    while (count < most && this.#ids[place - count] === tail[tail.length - 1 - count]) count += 1;
    return count;
  }
}

/** What is there most often, of equals the first. */
const mostOf = (tokens: readonly number[]): Pick<Guess, 'token' | 'votes'> => {
  const votes = new Map<number, number>();
  for (const token of tokens) votes.set(token, (votes.get(token) ?? 0) + 1);
  let best = { token: 0, votes: 0 };
  for (const [token, count] of votes) if (count > best.votes) best = { token, votes: count };
  return best;
};
