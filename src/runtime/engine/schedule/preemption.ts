import type { Flow } from './fair-queue.ts';

/** A sequence that could make way: its flow, and the tokens that it gave since it got its place. */
export type Running<S> = { readonly sequence: S; readonly flow: Flow; readonly tokens: number };

/** Tokens that whoever got a place gives at least: saving and restoring keys and values must not eat up the gain. */
const minTokens = 8;
/** Service, in weighted tokens, that a tenant is ahead by before one of its rows goes to another with fewer rows. */
const aheadByRow = 64;
/** The same when the other would get its first row and the tenant lose its last one. */
const aheadByTurn = 256;

/** Rows of whoever competes: tenants with each other, within one its adapters. */
const rowsOf = <S>(running: readonly Running<S>[], of: Flow, rival: Flow): number =>
  running.filter(
    ({ flow }) => flow.tenant === of.tenant && (of.tenant !== rival.tenant || flow.adapter === of.adapter),
  ).length;

const mayTake = <S>(
  victim: Running<S>,
  waiting: Flow,
  running: readonly Running<S>[],
  ahead: (a: Flow, b: Flow) => number,
): boolean => {
  if (victim.tokens < minTokens) return false;
  if (victim.flow.priority !== waiting.priority) return victim.flow.priority < waiting.priority;
  const theirs = rowsOf(running, victim.flow, waiting);
  const own = rowsOf(running, waiting, victim.flow);
  if (theirs > own + 1 && own === 0) return true;
  // Adapters of one tenant get their first row; beyond that it is their tenant's to share out.
  if (victim.flow.tenant === waiting.tenant) return false;
  if (theirs > own + 1) return ahead(victim.flow, waiting) > aheadByRow;
  return theirs === own + 1 && ahead(victim.flow, waiting) > aheadByTurn;
};

/**
 * Who makes way for a request that waits while no place is free, the best first: lower priorities, then sequences of
 * tenants with more rows, the one that got its place last. A tenant without a row gets one at once from a tenant with two
 * or more; from one with a single row it gets it in turns. So does an adapter without a row from another one of its tenant
 * with two or more. Requests for one adapter of one tenant do not make way for each other.
 * `ahead`: how much more service the tenant of the first flow had.
 */
export const victimsFor = <S>(
  waiting: Flow,
  running: readonly Running<S>[],
  ahead: (a: Flow, b: Flow) => number,
): readonly S[] =>
  running
    .map((victim, place) => ({ victim, place, rows: rowsOf(running, victim.flow, waiting) }))
    .filter(({ victim }) => mayTake(victim, waiting, running, ahead))
    .sort((a, b) => a.victim.flow.priority - b.victim.flow.priority || b.rows - a.rows || b.place - a.place)
    .map(({ victim }) => victim.sequence);

/**
 * Who makes way while those that run grow and memory is full: of the lowest priority, of the tenant with most rows, of
 * those the one that had most service, then who got its place last. Whoever got one gives some tokens first; undefined when all
 * have given fewer.
 */
export const victimForRoom = <S>(
  running: readonly Running<S>[],
  ahead: (a: Flow, b: Flow) => number,
): S | undefined => {
  const rowsOfTenant = ({ flow }: Running<S>): number =>
    running.filter((other) => other.flow.tenant === flow.tenant).length;
  const [victim] = running
    .filter(({ tokens }) => tokens >= minTokens)
    .map((one, place) => ({ one, place }))
    .sort(
      (a, b) =>
        a.one.flow.priority - b.one.flow.priority ||
        rowsOfTenant(b.one) - rowsOfTenant(a.one) ||
        ahead(b.one.flow, a.one.flow) ||
        b.place - a.place,
    );
  return victim?.one.sequence;
};
