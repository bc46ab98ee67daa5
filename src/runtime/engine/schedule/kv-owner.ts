import type { Flow } from './fair-queue.ts';

/** A sequence, as far as its keys and values go. */
export type KvOwner = {
  /** Its namespace, and what that is sure to have. */
  readonly flow: Flow;
  /** Whose keys and values may be used for it; of one with another key never. */
  readonly kvKey: string;
  /** False where they are for nobody but itself. */
  readonly shares: boolean;
  readonly ids: readonly number[];
  /** Tokens of them whose keys and values there are. */
  readonly filled: number;
  /** Tokens at most. */
  readonly capacity: number;
};

/** What has a row, and the tokens that there is room for. */
export type Taken = { readonly owner: KvOwner; readonly tokens: number };

/** Tokens that whoever gets a row has room for, and everybody else with it: what is done for it must pay. */
export const roomTokens = 128;

/** A row that a newcomer takes. */
export const takenBy = (owner: KvOwner): Taken => ({ owner, tokens: owner.ids.length });

export const tokensNow = ({ tokens }: Taken): number => tokens;

/** With some more, as all have when somebody gets a row. */
export const withRoom = ({ owner, tokens }: Taken): number =>
  Math.max(tokens, Math.min(owner.capacity, owner.ids.length + roomTokens));
