import { Accounts, type MemoryShare, noShare } from './accounts.ts';

/** Who holds bytes of the RAM budget now. `T` stands for the adapter. */
export type Holding<T> = {
  readonly of: T;
  /** Its namespace. */
  readonly owner: string;
  readonly bytes: number;
  /** `loading`: reserved or not yet trusted. `leaving`: draining, its bytes will come back. */
  readonly phase: 'loading' | 'resident' | 'leaving';
  readonly references: number;
  readonly protected: boolean;
  readonly wanted: boolean;
  readonly priority: number;
  /** By the policy of eviction; compared only between holdings of one call. */
  readonly worth: number;
  readonly lastUse: number;
  /** It came by a prefetch, and nobody has used it: what is guaranteed to its owner is not for that. */
  readonly isGuess?: boolean;
};

/** Who asks for bytes, the most urgent first. */
export type Wish<T> = {
  readonly of: T;
  readonly owner: string;
  readonly bytes: number;
  /**
   * Patient: evicts whatever is not protected, also what is referenced (it drains), and waits. Otherwise: evicts only
   * what is unreferenced and has a weaker claim, and is refused when that is not enough.
   */
  readonly patient: boolean;
  /** Protected ones step down for it when nothing else does. */
  readonly overProtected: boolean;
  /** A guess: nothing leaves for it. */
  readonly isPrefetch?: boolean;
  readonly wanted: boolean;
  readonly priority: number;
};

export type RoomPlan<T> = {
  /** May load now. */
  readonly grant: readonly T[];
  /** Must drain and leave. */
  readonly evict: readonly T[];
  /** Gets no room while things are as they are: beside so many bytes, or within the limit of its owner. */
  readonly refuse: readonly { readonly of: T; readonly fixedBytes: number; readonly limitBytes?: number }[];
};

/** The first victim first: unprotected, unreferenced, lowest priority, least worth, least recently used. */
export const byClaim = <T>(a: Holding<T>, b: Holding<T>): number =>
  Number(a.protected) - Number(b.protected) ||
  Number(a.references > 0) - Number(b.references > 0) ||
  a.priority - b.priority ||
  a.worth - b.worth ||
  a.lastUse - b.lastUse;

const weaker = <T>(victim: Holding<T>, wish: Wish<T>): boolean =>
  victim.wanted === wish.wanted ? victim.priority < wish.priority : !victim.wanted;

/** What is guaranteed to a namespace is its own, whatever others pinned or hold beyond what is guaranteed to them. */
const mayEvict = <T>(victim: Holding<T>, wish: Wish<T>, accounts: Accounts): boolean => {
  if (wish.isPrefetch === true) return false;
  if (victim.isGuess === true && !victim.protected && victim.references === 0) return true;
  if (!accounts.mayTake(victim.owner, wish)) return false;
  const isOwed = victim.owner !== wish.owner && accounts.isGuaranteed(wish);
  if (victim.protected && !wish.overProtected && !(isOwed && wish.patient)) return false;
  return wish.patient || (victim.references === 0 && (isOwed || weaker(victim, wish)));
};

/** What a wish holds once it has its room: others may have that in their turn. */
const asLoading = <T>({ of, owner, bytes, wanted, priority }: Wish<T>): Holding<T> => ({
  of,
  owner,
  bytes,
  phase: 'loading',
  references: 0,
  protected: false,
  wanted,
  priority,
  worth: 0,
  lastUse: 0,
});

const sum = <T>(holdings: readonly Holding<T>[]): number => holdings.reduce((bytes, h) => bytes + h.bytes, 0);

type Found<T> = {
  readonly victims: readonly Holding<T>[];
  /** As they would be then. */
  readonly accounts: Accounts;
  /** Bytes that the wish could have of the budget. */
  readonly reachable: number;
  readonly isWithinLimit: boolean;
};

/** Those who would have to leave for a wish, the first first, and how far that goes. */
const victimsFor = <T>(
  wish: Wish<T>,
  candidates: readonly Holding<T>[],
  before: Accounts,
  unclaimed: number,
): Found<T> => {
  const accounts = before.copy();
  const victims = new Set<Holding<T>>();
  let reachable = unclaimed;
  const take = (isNeeded: (victim: Holding<T>) => boolean): void => {
    for (const victim of candidates) {
      if (victims.has(victim) || !isNeeded(victim) || !mayEvict(victim, wish, accounts)) continue;
      victims.add(victim);
      accounts.add(victim.owner, -victim.bytes);
      reachable += victim.bytes;
    }
  };
  // Above its limit a namespace makes room of its own.
  take(({ owner }) => owner === wish.owner && !accounts.isWithinLimit(wish));
  // What is guaranteed to it comes from those who have it, not from its own.
  take(({ owner }) => owner !== wish.owner && accounts.isGuaranteed(wish) && reachable < wish.bytes);
  take(() => reachable < wish.bytes);
  // Once nothing of its own is there, it is the only one of its namespace.
  take(() => reachable < wish.bytes);
  return { victims: [...victims], accounts, reachable, isWithinLimit: accounts.isWithinLimit(wish) };
};

/**
 * Divides the RAM budget, also between namespaces. Pure.
 *
 * Guarantees: what is granted fits into bytes that are free now; nobody is evicted for a wish that would not fit after
 * it; a less urgent wish is granted before a more urgent one only when both fit together, so that none starves. A namespace never
 * gets beyond its limit, and what it holds within what is guaranteed to it leaves for itself only, unless it
 * came by a prefetch and nobody used it. Beyond that it loses something to another only while it holds more than its part ({@link Accounts}).
 */
export const planRoom = <T>(
  budgetBytes: number,
  holdings: readonly Holding<T>[],
  wishes: readonly Wish<T>[],
  shareOf: (owner: string) => MemoryShare = () => noShare,
): RoomPlan<T> => {
  const grant: T[] = [];
  const evict: T[] = [];
  const refuse: { of: T; fixedBytes: number; limitBytes?: number }[] = [];
  const candidates = holdings.filter((h) => h.phase === 'resident').sort(byClaim);
  const loading = holdings.filter((h) => h.phase === 'loading');
  let accounts = Accounts.open(budgetBytes, [...holdings, ...wishes], shareOf);
  const now = accounts.copy();
  for (const { owner, bytes, phase } of holdings) {
    now.add(owner, bytes);
    if (phase !== 'leaving') accounts.add(owner, bytes);
  }
  // Bytes that are free at this moment, and bytes free or coming that nobody more urgent has a claim to.
  let free = budgetBytes - sum(holdings);
  let unclaimed = free + sum(holdings.filter((h) => h.phase === 'leaving'));

  const leave = (victim: Holding<T>): void => {
    evict.push(victim.of);
    candidates.splice(candidates.indexOf(victim), 1);
  };
  // A limit that became less than what is there.
  for (const victim of candidates.slice()) {
    if (!accounts.isOverLimit(victim.owner)) continue;
    leave(victim);
    accounts.add(victim.owner, -victim.bytes);
    unclaimed += victim.bytes;
  }
  for (const wish of wishes) {
    const found = victimsFor(wish, candidates, accounts, unclaimed);
    if (found.reachable < wish.bytes || !found.isWithinLimit) {
      // Patient: what is loading now can be evicted later; until then it keeps its place, and those behind wait.
      const later = victimsFor(
        { ...wish, patient: true },
        [...candidates, ...loading].sort(byClaim),
        accounts,
        unclaimed,
      );
      const isLimited = !later.isWithinLimit;
      if (isLimited || !wish.patient || later.reachable < wish.bytes) {
        const limitBytes = isLimited ? { limitBytes: shareOf(wish.owner).limit } : {};
        refuse.push({ of: wish.of, fixedBytes: budgetBytes - later.reachable, ...limitBytes });
      } else if (found.isWithinLimit) unclaimed = 0;
      continue;
    }
    for (const victim of found.victims) leave(victim);
    ({ accounts } = found);
    accounts.add(wish.owner, wish.bytes);
    unclaimed = found.reachable - wish.bytes;
    loading.push(asLoading(wish));
    if (wish.bytes <= free && now.isWithinLimit(wish)) {
      grant.push(wish.of);
      free -= wish.bytes;
      now.add(wish.owner, wish.bytes);
    }
  }
  return { grant, evict, refuse };
};
