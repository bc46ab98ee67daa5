/** Who holds bytes of the RAM budget now. `T` stands for the adapter. */
export type Holding<T> = {
  readonly of: T;
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
};

/** Who asks for bytes, the most urgent first. */
export type Wish<T> = {
  readonly of: T;
  readonly bytes: number;
  /**
   * Patient: evicts whatever is not protected, also what is referenced (it drains), and waits. Otherwise: evicts only
   * what is unreferenced and has a weaker claim, and is refused when that is not enough.
   */
  readonly patient: boolean;
  /** Protected ones step down for it when nothing else does. */
  readonly overProtected: boolean;
  readonly wanted: boolean;
  readonly priority: number;
};

export type RoomPlan<T> = {
  /** May load now. */
  readonly grant: readonly T[];
  /** Must drain and leave. */
  readonly evict: readonly T[];
  /** Gets no room while things are as they are. */
  readonly refuse: readonly { readonly of: T; readonly fixedBytes: number }[];
};

/** The first victim first: unprotected, unreferenced, lowest priority, least worth, least recently used. */
const byClaim = <T>(a: Holding<T>, b: Holding<T>): number =>
  Number(a.protected) - Number(b.protected) ||
  Number(a.references > 0) - Number(b.references > 0) ||
  a.priority - b.priority ||
  a.worth - b.worth ||
  a.lastUse - b.lastUse;

const weaker = <T>(victim: Holding<T>, wish: Wish<T>): boolean =>
  victim.wanted === wish.wanted ? victim.priority < wish.priority : !victim.wanted;

const mayEvict = <T>(victim: Holding<T>, wish: Wish<T>): boolean => {
  if (victim.protected && !wish.overProtected) return false;
  return wish.patient || (victim.references === 0 && weaker(victim, wish));
};

const sum = <T>(holdings: readonly Holding<T>[]): number => holdings.reduce((bytes, h) => bytes + h.bytes, 0);

/**
 * Divides the RAM budget. Pure.
 *
 * Guarantees: what is granted fits into bytes that are free now; nobody is evicted for a wish that would not fit after
 * it; a less urgent wish is granted before a more urgent one only when both fit together, so that none starves.
 */
export const planRoom = <T>(
  budgetBytes: number,
  holdings: readonly Holding<T>[],
  wishes: readonly Wish<T>[],
): RoomPlan<T> => {
  const grant: T[] = [];
  const evict: T[] = [];
  const refuse: { of: T; fixedBytes: number }[] = [];
  const candidates = holdings.filter((h) => h.phase === 'resident').sort(byClaim);
  // Bytes that are free at this moment, and bytes free or coming that nobody more urgent has a claim to.
  let free = budgetBytes - sum(holdings);
  let unclaimed = free + sum(holdings.filter((h) => h.phase === 'leaving'));

  for (const wish of wishes) {
    const victims: Holding<T>[] = [];
    let reachable = unclaimed;
    for (const victim of candidates) {
      if (reachable >= wish.bytes) break;
      if (!mayEvict(victim, wish)) continue;
      victims.push(victim);
      reachable += victim.bytes;
    }
    if (reachable < wish.bytes) {
      const fixed = sum(holdings.filter((h) => h.protected && h.phase !== 'leaving' && !wish.overProtected));
      // Patient: what is loading now can be evicted later; until then it keeps its place, and those behind wait.
      if (wish.patient && wish.bytes <= budgetBytes - fixed) unclaimed = 0;
      else refuse.push({ of: wish.of, fixedBytes: fixed });
      continue;
    }
    for (const victim of victims) {
      evict.push(victim.of);
      candidates.splice(candidates.indexOf(victim), 1);
    }
    unclaimed = reachable - wish.bytes;
    if (wish.bytes <= free) {
      grant.push(wish.of);
      free -= wish.bytes;
    }
  }
  return { grant, evict, refuse };
};
