import type { Holding, Wish } from './room.ts';

/** For tests: unused bytes of one owner, that anybody may put out. */
export const aHolding = (
  of: string,
  bytes: number,
  rest: Partial<Holding<string>> = {},
): Holding<string> => ({
  of,
  owner: 'a',
  bytes,
  phase: 'resident',
  references: 0,
  protected: false,
  wanted: false,
  priority: 0,
  worth: 0,
  lastUse: 0,
  ...rest,
});

/** For tests: a wish of the same owner, that waits. */
export const aWish = (of: string, bytes: number, rest: Partial<Wish<string>> = {}): Wish<string> => ({
  of,
  owner: 'a',
  bytes,
  patient: true,
  overProtected: false,
  wanted: false,
  priority: 0,
  ...rest,
});
