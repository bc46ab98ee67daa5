import type { RuntimeFact } from '../facts.ts';
import { countOf } from './alone.ts';

/** Gone after `since`: it was there when its group began, or came later, and left. Not: offline all along. */
export const isLost = ({ isConnected, awaySince }: RuntimeFact, since: number): boolean =>
  !isConnected && awaySince !== undefined && awaySince >= since;

type Shares = { readonly lost: number; readonly all: number };

const sharesOf = (runtimes: readonly RuntimeFact[], since: number): Shares => {
  const lost = countOf(runtimes.filter((runtime) => isLost(runtime, since)));
  return { lost, all: lost + countOf(runtimes.filter(({ isConnected }) => isConnected)) };
};

/**
 * True when a group lost more of its runtimes than others did in the same time: fleets that sleep are normal, an adapter
 * that kills nodes is not. Its share has to be above theirs, and above theirs drawn towards a half where they are few
 * (Laplace's rule of succession): one group alone has to lose more than half of its runtimes.
 *
 * @param since when the group began, wall time in milliseconds
 */
export const losesMore = (
  group: readonly RuntimeFact[],
  others: readonly RuntimeFact[],
  since: number,
): boolean => {
  const here = sharesOf(group, since);
  const there = sharesOf(others, since);
  const isMore = there.all === 0 || here.lost * there.all > here.all * there.lost;
  return isMore && here.lost * (there.all + 2) > here.all * (there.lost + 1);
};
