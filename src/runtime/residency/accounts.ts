/** Bytes that a namespace is sure to have, and that it never passes. */
export type MemoryShare = { readonly guarantee: number; readonly limit: number };

export const noShare: MemoryShare = { guarantee: 0, limit: Infinity };

type Amount = { readonly owner: string; readonly bytes: number };

/**
 * What each namespace holds of the RAM budget, and what others may take of it. The part of a namespace is what is guaranteed to it,
 * and of what is guaranteed to nobody as much as each other one that is here. All parts together are the budget.
 *
 * - For a wish within what is guaranteed to it, or for the only adapter of a namespace, others give what they hold beyond what
 *   is guaranteed to them.
 * - For any other wish they give what they hold beyond their parts. So whoever asks for ever more puts out its own.
 */
export class Accounts {
  readonly #shareOf: (owner: string) => MemoryShare;
  /** Of each, of what is guaranteed to nobody. */
  readonly #evenPart: number;
  readonly #held: Map<string, number>;

  constructor(shareOf: (owner: string) => MemoryShare, evenPart: number, held: ReadonlyMap<string, number>) {
    this.#shareOf = shareOf;
    this.#evenPart = evenPart;
    this.#held = new Map(held);
  }

  /** Accounts in which nobody holds anything yet, of these owners. */
  static open(budgetBytes: number, of: readonly Amount[], shareOf: (owner: string) => MemoryShare): Accounts {
    const owners = new Set(of.map(({ owner }) => owner));
    const guaranteed = [...owners].reduce((bytes, owner) => bytes + shareOf(owner).guarantee, 0);
    const evenPart = Math.max(0, budgetBytes - guaranteed) / Math.max(1, owners.size);
    return new Accounts(shareOf, evenPart, new Map());
  }

  copy(): Accounts {
    return new Accounts(this.#shareOf, this.#evenPart, this.#held);
  }

  add(owner: string, bytes: number): void {
    this.#held.set(owner, this.#of(owner) + bytes);
  }

  isOverLimit(owner: string): boolean {
    return this.#of(owner) > this.#shareOf(owner).limit;
  }

  isWithinLimit({ owner, bytes }: Amount): boolean {
    return this.#of(owner) + bytes <= this.#shareOf(owner).limit;
  }

  /** Its owner is sure to get it. */
  isGuaranteed({ owner, bytes }: Amount): boolean {
    return this.#of(owner) + bytes <= this.#shareOf(owner).guarantee;
  }

  /** Its owner is sure to have it: without it, it would have less than is guaranteed. */
  isWithinGuarantee({ owner, bytes }: Amount): boolean {
    return this.#of(owner) - bytes < this.#shareOf(owner).guarantee;
  }

  /** Whether something of `owner` may leave for a wish. */
  mayTake(owner: string, wish: Amount): boolean {
    if (owner === wish.owner) return true;
    const isOwed = this.isGuaranteed(wish) || this.#of(wish.owner) === 0;
    const { guarantee } = this.#shareOf(owner);
    return this.#of(owner) > (isOwed ? guarantee : guarantee + this.#evenPart);
  }

  #of(owner: string): number {
    return this.#held.get(owner) ?? 0;
  }
}
