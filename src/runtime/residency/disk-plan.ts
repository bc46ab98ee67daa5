import type { MemoryShare } from './accounts.ts';

/** What a namespace has on the disk: one artifact, whichever of its adapters have it. `T` stands for those. */
export type DiskHolding<T> = {
  readonly of: T;
  readonly owner: string;
  readonly bytes: number;
  /** Of them what the disk has more once this namespace needs it no more: 0 where another one does. */
  readonly freedBytes: number;
  /** Nobody uses, waits for or works on it. */
  readonly isIdle: boolean;
  /** Pinned, or part of a rollout. */
  readonly protected: boolean;
  /** The plan wants it on the disk, such as an older version of a rollout. */
  readonly isWanted: boolean;
  readonly priority: number;
  /** By the policy of eviction; compared only between holdings of one call. */
  readonly worth: number;
  readonly lastUse: number;
  /** It came by a prefetch, nobody has used it, and nothing keeps it: it leaves first, also of what is guaranteed to its owner. */
  readonly isGuess?: boolean;
};

/** An artifact that is to come to the disk. */
export type DiskWish = {
  readonly owner: string;
  readonly bytes: number;
  /** Of them those that are not there yet. */
  readonly missingBytes: number;
  /** Somebody waits for it, or a rollout needs it: its namespace's own may go for it, and what others pinned. */
  readonly patient: boolean;
  /** A rollout needs it. */
  readonly held: boolean;
};

export type DiskPlan<T> =
  | { readonly kind: 'fits'; readonly evict: readonly T[] }
  /** Its namespace would have more than it may, beside so many bytes. */
  | { readonly kind: 'limited'; readonly heldBytes: number; readonly limitBytes: number };

/** The first victim first: unprotected, there for requests alone, lowest priority, least worth, least recently used. */
const byClaim = <T>(a: DiskHolding<T>, b: DiskHolding<T>): number =>
  Number(a.protected) - Number(b.protected) ||
  Number(a.isWanted) - Number(b.isWanted) ||
  a.priority - b.priority ||
  a.worth - b.worth ||
  a.lastUse - b.lastUse;

type Shares = { readonly freeBytes: number; readonly shareOf: (owner: string) => MemoryShare };

/** Holdings as they are after some have left. */
class Ledger<T> {
  readonly evict: T[] = [];
  free: number;
  readonly #held = new Map<string, number>();
  readonly #shareOf: Shares['shareOf'];
  #idle: readonly DiskHolding<T>[];

  constructor(holdings: readonly DiskHolding<T>[], { freeBytes, shareOf }: Shares) {
    this.free = freeBytes;
    this.#shareOf = shareOf;
    for (const { owner, bytes } of holdings) this.#held.set(owner, this.heldBy(owner) + bytes);
    this.#idle = holdings.filter(({ isIdle }) => isIdle).toSorted(byClaim);
  }

  get idle(): readonly DiskHolding<T>[] {
    return this.#idle;
  }

  heldBy(owner: string): number {
    return this.#held.get(owner) ?? 0;
  }

  /** What it has more than is guaranteed to it; negative where it has less. */
  beyond(owner: string): number {
    return this.heldBy(owner) - this.#shareOf(owner).guarantee;
  }

  leave(victim: DiskHolding<T>): void {
    this.evict.push(victim.of);
    this.#idle = this.#idle.filter((other) => other !== victim);
    this.#held.set(victim.owner, this.heldBy(victim.owner) - victim.bytes);
    this.free += victim.freedBytes;
  }

  /** The first of these leave, those of whoever is most beyond first, until so many bytes are free; false when they are too few. */
  makeFree(bytes: number, next: (ledger: Ledger<T>) => DiskHolding<T> | undefined): boolean {
    while (bytes > this.free) {
      const victim = next(this);
      if (victim === undefined) return false;
      this.leave(victim);
    }
    return true;
  }

  /** As it is, for a try. */
  copy(): Ledger<T> {
    const copy = new Ledger<T>([], { freeBytes: this.free, shareOf: this.#shareOf });
    copy.evict.push(...this.evict);
    for (const [owner, bytes] of this.#held) copy.#held.set(owner, bytes);
    copy.#idle = this.#idle;
    return copy;
  }
}

/** The first of the greatest; undefined of none. */
const mostOf = <T>(items: readonly T[], amountOf: (item: T) => number): T | undefined =>
  items.reduce<T | undefined>(
    (most, item) => (most === undefined || amountOf(item) > amountOf(most) ? item : most),
    undefined,
  );

/** Bytes by which a holding has to leave before others: what its owner has too many, and any number of what came by a guess. */
const excess = <T>({ owner, isGuess }: DiskHolding<T>, beyond: (owner: string) => number): number =>
  isGuess === true ? Infinity : beyond(owner);

/** There for requests alone: it can be fetched again when one comes. */
const isCache = <T>(one: DiskHolding<T>): boolean => !one.protected && !one.isWanted && one.freedBytes > 0;

/**
 * What leaves the disk for something new. Pure.
 *
 * - A namespace stays within its limit: its own go, what is worth its place least first, never those that are in use, pinned or part of a
 *   rollout, the version before among them; where that is not enough, or nobody waits for the new one, it does not come.
 * - What is guaranteed to a namespace has room, as far as others have whole artifacts beyond what is guaranteed to them: those leave, of
 *   whoever is most beyond first; what they pinned or have in a rollout only for a patient wish. Nobody goes below its guarantee.
 * - For anything else what is there for requests alone leaves, of whoever is most beyond its guarantee, the one that comes included: who
 *   brings many loses its own. Only for a rollout those leave that have less. Nothing leaves where all of it would be too little.
 * - Before all of those leaves what came by a prefetch and nobody used, whoever has it.
 * - Whether it fits the disk is said by the store.
 */
export const planDisk = <T>(
  holdings: readonly DiskHolding<T>[],
  wish: DiskWish,
  shares: Shares,
): DiskPlan<T> => {
  const ledger = new Ledger(holdings, shares);
  const { guarantee, limit } = shares.shareOf(wish.owner);
  const isOver = (): boolean => ledger.heldBy(wish.owner) + wish.bytes > limit;
  const own = wish.patient ? ledger.idle.filter((one) => one.owner === wish.owner && !one.protected) : [];
  for (const victim of own) if (isOver()) ledger.leave(victim);
  if (isOver()) return { kind: 'limited', heldBytes: ledger.heldBy(wish.owner), limitBytes: limit };

  const { missingBytes } = wish;
  const mayLeave = (one: DiskHolding<T>, now: Ledger<T>): boolean =>
    one.isGuess === true || one.owner === wish.owner || one.bytes <= now.beyond(one.owner);
  if (ledger.heldBy(wish.owner) + wish.bytes <= guarantee) {
    const isFree = ledger.makeFree(missingBytes, (now) => {
      const others = now.idle.filter(
        (one) =>
          (one.owner !== wish.owner || one.isGuess === true) && one.freedBytes > 0 && mayLeave(one, now),
      );
      const free = others.filter((one) => !one.protected);
      const victims = free.length === 0 && wish.patient ? others : free;
      return mostOf(victims, (one) => excess(one, (owner) => now.beyond(owner)));
    });
    if (isFree) return { kind: 'fits', evict: ledger.evict };
  }

  const cacheOf = (now: Ledger<T>, isEven: (owner: string, beyond: number) => boolean) => {
    const beyond = (owner: string): number => now.beyond(owner) + (owner === wish.owner ? wish.bytes : 0);
    const victims = now.idle.filter(
      (one) =>
        isCache(one) &&
        mayLeave(one, now) &&
        (one.isGuess === true || isEven(one.owner, beyond(one.owner) - beyond(wish.owner))),
    );
    // Of those that have as much, its own.
    return mostOf(victims, (one) => excess(one, (owner) => beyond(owner) + (owner === wish.owner ? 0.5 : 0)));
  };
  const fair = ledger.copy();
  const isEnough = fair.makeFree(missingBytes, (now) =>
    cacheOf(now, (owner, more) => owner === wish.owner || more > 0),
  );
  if (isEnough) return { kind: 'fits', evict: fair.evict };
  const any = ledger.copy();
  if (wish.held && any.makeFree(missingBytes, (now) => cacheOf(now, () => true)))
    return { kind: 'fits', evict: any.evict };
  return { kind: 'fits', evict: ledger.evict };
};

/** What leaves so that so many bytes are free, as far as what is there for requests alone suffices. Pure. */
export const planFree = <T>(
  holdings: readonly DiskHolding<T>[],
  bytes: number,
  shares: Shares,
): readonly T[] => {
  const ledger = new Ledger(holdings, shares);
  ledger.makeFree(bytes, (now) =>
    mostOf(
      now.idle.filter((one) => isCache(one) && (one.isGuess === true || one.bytes <= now.beyond(one.owner))),
      (one) => excess(one, (owner) => now.beyond(owner)),
    ),
  );
  return ledger.evict;
};

/** What leaves so that each namespace is within its limit, as far as what it has is idle and unprotected. Pure. */
export const planTrim = <T>(
  holdings: readonly DiskHolding<T>[],
  shareOf: Shares['shareOf'],
): readonly T[] => {
  const held = new Map<string, number>();
  for (const { owner, bytes } of holdings) held.set(owner, (held.get(owner) ?? 0) + bytes);
  const evict: T[] = [];
  for (const { of, owner, bytes } of holdings
    .filter((one) => one.isIdle && !one.protected)
    .toSorted(byClaim)) {
    const now = held.get(owner) ?? 0;
    if (now <= shareOf(owner).limit) continue;
    held.set(owner, now - bytes);
    evict.push(of);
  }
  return evict;
};
