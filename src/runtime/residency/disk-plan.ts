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
  readonly lastUse: number;
};

/** An artifact that is to come to the disk. */
export type DiskWish = {
  readonly owner: string;
  readonly bytes: number;
  /** Of them those that are not there yet. */
  readonly missingBytes: number;
  /** Somebody waits for it, or a rollout needs it: its namespace's own may go for it, and what others pinned. */
  readonly patient: boolean;
};

export type DiskPlan<T> =
  | { readonly kind: 'fits'; readonly evict: readonly T[] }
  /** Its namespace would have more than it may, beside so many bytes. */
  | { readonly kind: 'limited'; readonly heldBytes: number; readonly limitBytes: number };

/** The first victim first: unprotected, there for requests alone, lowest priority, least recently used. */
export const byClaim = <T>(a: DiskHolding<T>, b: DiskHolding<T>): number =>
  Number(a.protected) - Number(b.protected) ||
  Number(a.isWanted) - Number(b.isWanted) ||
  a.priority - b.priority ||
  a.lastUse - b.lastUse;

/**
 * What leaves the disk for something new. Pure.
 *
 * - A namespace stays within its limit: its own go, the least recently used first, never those that are in use, pinned or part of a
 *   rollout, the version before among them; where that is not enough, or nobody waits for the new one, it does not come.
 * - What is guaranteed to a namespace has room, as far as others have whole artifacts beyond what is guaranteed to them: those leave, of
 *   whoever is most beyond first; what they pinned or have in a rollout only for a patient wish. Nobody goes below its guarantee.
 * - For anything else nothing of others leaves. Whether it fits the disk is said by the store.
 */
export const planDisk = <T>(
  holdings: readonly DiskHolding<T>[],
  wish: DiskWish,
  { freeBytes, shareOf }: { readonly freeBytes: number; readonly shareOf: (owner: string) => MemoryShare },
): DiskPlan<T> => {
  const held = new Map<string, number>();
  const heldBy = (owner: string): number => held.get(owner) ?? 0;
  for (const { owner, bytes } of holdings) held.set(owner, heldBy(owner) + bytes);
  const idle = holdings.filter(({ isIdle }) => isIdle).toSorted(byClaim);
  const evict: T[] = [];
  let free = freeBytes;
  const leave = (victim: DiskHolding<T>): void => {
    evict.push(victim.of);
    idle.splice(idle.indexOf(victim), 1);
    held.set(victim.owner, heldBy(victim.owner) - victim.bytes);
    free += victim.freedBytes;
  };

  const { guarantee, limit } = shareOf(wish.owner);
  const isOver = (): boolean => heldBy(wish.owner) + wish.bytes > limit;
  const own = wish.patient ? idle.filter((one) => one.owner === wish.owner && !one.protected) : [];
  for (const victim of own) if (isOver()) leave(victim);
  if (isOver()) return { kind: 'limited', heldBytes: heldBy(wish.owner), limitBytes: limit };

  const beyond = (owner: string): number => heldBy(owner) - shareOf(owner).guarantee;
  if (heldBy(wish.owner) + wish.bytes > guarantee) return { kind: 'fits', evict };
  while (wish.missingBytes > free) {
    const [victim] = idle
      .filter(
        ({ owner, bytes, freedBytes }) => owner !== wish.owner && freedBytes > 0 && bytes <= beyond(owner),
      )
      .filter((one) => wish.patient || !one.protected)
      .toSorted((a, b) => Number(a.protected) - Number(b.protected) || beyond(b.owner) - beyond(a.owner));
    if (victim === undefined) break;
    leave(victim);
  }
  return { kind: 'fits', evict };
};
