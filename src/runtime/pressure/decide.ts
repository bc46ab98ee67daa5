import type { MemoryLevel } from '../machine/memory-levels.ts';

/** One budget as it is now. Bytes. */
export type Part = {
  /** As it was given or chosen at start. */
  readonly fullBytes: number;
  readonly usedBytes: number;
  /** Of what is used: nobody uses it now, and it is guaranteed to nobody. */
  readonly sparableBytes: number;
  /** Of what is used: it is on its way out. */
  readonly leavingBytes: number;
  /** Below that it would be of no use. */
  readonly leastBytes: number;
  /** What namespaces are sure to have of it, all together. */
  readonly guaranteedBytes: number;
};

/** Who is refused: for `unguaranteed`, requests beyond what is guaranteed to their namespaces. */
export type Refused = 'nobody' | 'unguaranteed' | 'everybody';

/** What budgets are now, and what was decided before. Times are monotonic, in milliseconds. */
export type State = {
  readonly kvBytes: number;
  readonly adapterBytes: number;
  readonly refused: Refused;
  readonly loweredAt: number;
  readonly raisedAt: number;
  readonly stalledAt: number;
  /** From the last time that budgets were lowered until they grow. */
  readonly restMs: number;
};

export type Situation = {
  readonly now: number;
  readonly levels: readonly MemoryLevel[];
  readonly kv: Part;
  readonly adapters: Part;
};

export type Decision = {
  readonly state: State;
  /** What there is least of. Undefined where the system does not tell. */
  readonly level?: MemoryLevel;
  /** Bytes that are to be let go of now. */
  readonly askedBytes: number;
};

const mib = 2 ** 20;
/** Of a limit, what stays free: what is computed with, and what comes between two looks. */
const marginShare = 0.05;
const leastMargin = 32 * mib;
const mostMargin = 512 * mib;
/** Of a machine: kubelets evict pods below 100 MiB. Less of a small one, which would have nothing left else. */
const leastOfMachine = 160 * mib;
const mostOfSmall = 1 / 8;

/** Bytes that are to stay free of a level. */
export const marginOf = ({ own, limitBytes }: Pick<MemoryLevel, 'own' | 'limitBytes'>): number => {
  const least = own ? leastMargin : Math.max(leastMargin, Math.min(leastOfMachine, limitBytes * mostOfSmall));
  return Math.min(mostMargin, Math.max(least, limitBytes * marginShare));
};

/** Percent of 10 seconds. */
const stalled = 10;
/** The average of 10 seconds tells of what was done before only after them. */
const stallMs = 10_000;
/** Stalls where there is more free than so many margins are not for lack of memory of ours. */
const stallMargins = 4;

const restMs = 30_000;
const mostRestMs = 600_000;
/** Lowered so soon after they were raised, budgets wait twice as long the next time. */
const tooSoonMs = 60_000;
/** After so long without being lowered they wait as at first again. */
const calmMs = 1_800_000;
const raiseMs = 10_000;
const raiseShare = 1 / 16;
const leastRaise = 16 * mib;

export const initialState: State = {
  kvBytes: Number.POSITIVE_INFINITY,
  adapterBytes: Number.POSITIVE_INFINITY,
  refused: 'nobody',
  loweredAt: Number.NEGATIVE_INFINITY,
  raisedAt: Number.NEGATIVE_INFINITY,
  stalledAt: Number.NEGATIVE_INFINITY,
  restMs,
};

type Tight = {
  readonly level: MemoryLevel;
  readonly margin: number;
  readonly spare: number;
  readonly isStalled: boolean;
};

/** The level that has least beyond its margin. */
const tightestOf = (levels: readonly MemoryLevel[]): Tight | undefined => {
  const all = levels.map((level) => {
    const margin = marginOf(level);
    const free = level.limitBytes - level.usedBytes;
    const isStalled = level.stalledPercent >= stalled && free < stallMargins * margin;
    return { level, margin, spare: free - margin, isStalled };
  });
  return all.toSorted((a, b) => Number(b.isStalled) - Number(a.isStalled) || a.spare - b.spare)[0];
};

/** What can go of it: its budget is never less than what is guaranteed, whoever has that now. */
const spareOf = ({ usedBytes, sparableBytes, leastBytes, guaranteedBytes }: Part): number =>
  Math.max(0, Math.min(sparableBytes, usedBytes - Math.max(leastBytes, guaranteedBytes)));

/**
 * What a budget never goes below: what is guaranteed, and what cannot be spared; and what it is of use with, as far as that is free: `room`
 * is what there is beyond half of the margin.
 */
const floorOf = (part: Part, room: number): number => {
  const { fullBytes, usedBytes, leastBytes, guaranteedBytes } = part;
  const useful = Math.min(leastBytes, usedBytes + room);
  return Math.min(fullBytes, Math.max(guaranteedBytes, useful, usedBytes - spareOf(part)));
};

const refusedFor = (
  before: Refused,
  { spare, margin }: Tight,
  { unmet, isShort }: { readonly unmet: number; readonly isShort: boolean },
): Refused => {
  if (!isShort || spare >= 0) return 'nobody';
  if (unmet > 0 && spare < (-7 / 8) * margin) return 'everybody';
  if (unmet > 0 && spare < -margin / 2) return 'unguaranteed';
  return before === 'nobody' ? 'nobody' : 'unguaranteed';
};

/** A step more, up to what it uses and `most` beside that. */
const grown = (budget: number, { fullBytes, usedBytes }: Part, most: number): number => {
  const step = Math.max(leastRaise, fullBytes * raiseShare);
  return Math.max(budget, Math.min(fullBytes, budget + step, usedBytes + most));
};

/** Grows both by a step, as far as memory is there beyond a second margin: adapters first, which left last. */
const raised = (state: State, { now, kv, adapters }: Situation, { spare, margin }: Tight): State => {
  const isFull = state.kvBytes >= kv.fullBytes && state.adapterBytes >= adapters.fullBytes;
  const isEarly = now - state.loweredAt < state.restMs || now - state.raisedAt < raiseMs;
  const room = spare - margin;
  if (isFull || isEarly || room <= 0) return state;
  const adapterBytes = grown(state.adapterBytes, adapters, room);
  const kvBytes = grown(state.kvBytes, kv, room - Math.max(0, adapterBytes - state.adapterBytes));
  if (adapterBytes === state.adapterBytes && kvBytes === state.kvBytes) return state;
  const rest = now - state.loweredAt > calmMs ? restMs : state.restMs;
  return { ...state, kvBytes, adapterBytes, raisedAt: now, restMs: rest };
};

/**
 * What budgets become. Pure.
 *
 * Neither may grow into what the tightest level does not have. Where a level has less than its margin, as much as brings it back to two
 * margins is let go of: of keys and values first, what is kept for later requests; then adapters that nobody uses.
 *
 * Guarantees: no budget goes below what is guaranteed, nor below what is in use; after they were lowered budgets do not grow for 30
 * seconds, and then by a sixteenth every 10 seconds at most; growth that was in vain doubles that time, up to 10 minutes.
 */
export const decide = (before: State, situation: Situation): Decision => {
  const { now, levels, adapters } = situation;
  const tight = tightestOf(levels);
  if (tight === undefined) {
    return {
      state: {
        ...before,
        kvBytes: situation.kv.fullBytes,
        adapterBytes: adapters.fullBytes,
        refused: 'nobody',
      },
      askedBytes: 0,
    };
  }
  const { level, margin, spare } = tight;
  // A request that is alone has to be able to begin.
  const kv = { ...situation.kv, leastBytes: Math.max(situation.kv.leastBytes, margin / 2) };
  const room = Math.max(0, spare + margin / 2);
  const isStalled = tight.isStalled && now - before.stalledAt >= stallMs;
  const isShort = spare < 0 || isStalled;
  const need = isShort ? margin + Math.max(0, -spare) : 0;
  const fromKv = Math.min(need, spareOf(kv));
  const leaving = kv.leavingBytes + adapters.leavingBytes;
  const fromAdapters = Math.min(Math.max(0, need - fromKv - leaving), spareOf(adapters));
  const lowered = (budget: number, part: Part, given: number): number => {
    const most = part.usedBytes + (isShort ? 0 : spare) - given;
    return Math.max(floorOf(part, room), Math.min(part.fullBytes, budget, most));
  };
  const kvBytes = lowered(before.kvBytes, kv, fromKv);
  const adapterBytes = lowered(before.adapterBytes, adapters, fromAdapters);
  const isLowered =
    kvBytes < Math.min(before.kvBytes, kv.fullBytes) ||
    adapterBytes < Math.min(before.adapterBytes, adapters.fullBytes);
  const wasInVain = isLowered && isShort && now - before.raisedAt < tooSoonMs;
  const unmet = need - fromKv - fromAdapters - leaving;
  const state: State = {
    ...before,
    kvBytes,
    adapterBytes,
    refused: refusedFor(before.refused, tight, { unmet, isShort }),
    loweredAt: isLowered ? now : before.loweredAt,
    stalledAt: isStalled ? now : before.stalledAt,
    restMs: wasInVain ? Math.min(mostRestMs, before.restMs * 2) : before.restMs,
  };
  return {
    state: isLowered || isShort ? state : raised(state, situation, tight),
    level,
    askedBytes: fromKv + fromAdapters,
  };
};
