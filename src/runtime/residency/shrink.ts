import { Accounts, type MemoryShare, noShare } from './accounts.ts';
import { byClaim, type Holding } from './room.ts';

/**
 * Who leaves so that `bytes` less are held, the first first: of what nobody uses, holds or has pinned what the plan does not want in
 * RAM, then what it does; of both what has the weakest claim. What a namespace holds within what is guaranteed to it stays, unless
 * it came by a prefetch and nobody used it. Pure.
 */
export const planShrink = <T>(
  bytes: number,
  holdings: readonly Holding<T>[],
  shareOf: (owner: string) => MemoryShare = () => noShare,
): readonly Holding<T>[] => {
  const accounts = Accounts.open(0, holdings, shareOf);
  for (const { owner, bytes: held, phase } of holdings) if (phase !== 'leaving') accounts.add(owner, held);
  const candidates = holdings
    .filter(
      ({ phase, references, protected: isProtected }) =>
        phase === 'resident' && references === 0 && !isProtected,
    )
    .sort((a, b) => Number(a.wanted) - Number(b.wanted) || byClaim(a, b));
  const leaving: Holding<T>[] = [];
  let left = bytes;
  for (const holding of candidates) {
    if (left <= 0) break;
    // The rest of its namespace may be larger, or smaller.
    if (holding.isGuess !== true && accounts.isWithinGuarantee(holding)) continue;
    accounts.add(holding.owner, -holding.bytes);
    leaving.push(holding);
    left -= holding.bytes;
  }
  return leaving;
};
