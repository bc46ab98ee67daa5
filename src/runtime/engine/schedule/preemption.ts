import { type Flow, pathOf } from './fair-queue.ts';

/** A sequence that could make way: its flow, and the tokens that it gave since it got its place. */
export type Running<S> = {
  readonly sequence: S;
  readonly flow: Flow;
  readonly tokens: number;
  /** It waits for its caller to take what it gave. Absent: no. */
  readonly stalled?: boolean;
  /** Its prompt is not computed yet. Absent: no. */
  readonly filling?: boolean;
};

/** Who waits while no place is free. */
export type Waiting = {
  readonly flow: Flow;
  /** Its adapter has no row, and has got none for too long. */
  readonly isOverdue: boolean;
};

/** Tokens that whoever got a place gives at least: saving and restoring keys and values must not eat up the gain. */
const minTokens = 8;
/** Service, in weighted tokens, that a tenant is ahead by before one of its rows goes to another with fewer rows. */
const aheadByRow = 64;
/** The same when the other would get its first row and the tenant lose its last one. */
const aheadByTurn = 256;

/** Levels at which flows compete: namespaces, tenants of one, adapters of a tenant. */
const [namespaceLevel, adapterLevel] = [0, 2];

/** Where two flows part; below the adapter when they are one. */
const levelOf = (a: Flow, b: Flow): number => {
  const [left, right] = [pathOf(a), pathOf(b)];
  const level = left.findIndex((key, index) => key !== right[index]);
  return level < 0 ? adapterLevel + 1 : level;
};

/** Rows of whoever `of` competes for at a level. */
const rowsAt = <S>(running: readonly Running<S>[], of: Flow, level: number): number =>
  running.filter(({ flow }) => levelOf(flow, of) > level).length;

const rowsOf = <S>(running: readonly Running<S>[], of: Flow, rival: Flow): number =>
  rowsAt(running, of, Math.min(levelOf(of, rival), adapterLevel));

const guaranteedTo = ({ guaranteed = 0 }: Flow): number => guaranteed;

const mayTake = <S>(
  victim: Running<S>,
  { flow: waiting, isOverdue }: Waiting,
  running: readonly Running<S>[],
  ahead: (a: Flow, b: Flow) => number,
): boolean => {
  const level = levelOf(victim.flow, waiting);
  const theirs = rowsOf(running, victim.flow, waiting);
  const own = rowsOf(running, waiting, victim.flow);
  if (level === namespaceLevel) {
    if (theirs <= guaranteedTo(victim.flow)) return false;
    if (own < guaranteedTo(waiting)) return true;
  }
  if (victim.filling === true || (victim.tokens < minTokens && victim.stalled !== true)) return false;
  if (victim.flow.priority !== waiting.priority) return victim.flow.priority < waiting.priority;
  if (isOverdue && (victim.stalled === true || level === adapterLevel)) return true;
  if (victim.tokens < minTokens) return false;
  if (theirs > own + 1 && own === 0) return true;
  // Adapters of one tenant get their first row; beyond that it is their tenant's to share out.
  if (level >= adapterLevel) return false;
  if (theirs > own + 1) return ahead(victim.flow, waiting) > aheadByRow;
  return theirs === own + 1 && ahead(victim.flow, waiting) > aheadByTurn;
};

/**
 * Who makes way for a request that waits while no place is free, the best first: lower priorities, then sequences of
 * whoever has more rows, the one that got its place last. Namespaces compete with each other, within one its tenants, within a
 * tenant its adapters.
 *
 * - A namespace with fewer rows than are guaranteed to it gets one at once from one that has more than that, whatever that row
 *   has given, and loses none below that.
 * - Without a row one gets its first at once from a competitor with two or more; from one with a single row it gets it in
 *   turns. An adapter gets its first from another one of its tenant with two or more, and when it is overdue from any.
 * - Requests for one adapter of one tenant do not make way for each other.
 *
 * `ahead`: how much more service the first flow had.
 */
export const victimsFor = <S>(
  waiting: Waiting,
  running: readonly Running<S>[],
  ahead: (a: Flow, b: Flow) => number,
): readonly S[] =>
  running
    .map((victim, place) => ({ victim, place, rows: rowsOf(running, victim.flow, waiting.flow) }))
    .filter(({ victim }) => mayTake(victim, waiting, running, ahead))
    .sort((a, b) => a.victim.flow.priority - b.victim.flow.priority || b.rows - a.rows || b.place - a.place)
    .map(({ victim }) => victim.sequence);

/**
 * Who makes way while those that run grow and memory is full: of the lowest priority, of a namespace with more rows than are
 * guaranteed to it, of that with most, of its tenant with most rows, of those the one that had most service, then who got its
 * place last. Whoever got one gives some tokens first; undefined when all have given fewer.
 */
export const victimForRoom = <S>(
  running: readonly Running<S>[],
  ahead: (a: Flow, b: Flow) => number,
): S | undefined => {
  const [victim] = running
    .filter(({ tokens }) => tokens >= minTokens)
    .map((one, place) => {
      const ofNamespace = rowsAt(running, one.flow, namespaceLevel);
      const ofTenant = rowsAt(running, one.flow, namespaceLevel + 1);
      return { one, place, ofNamespace, ofTenant, isSure: ofNamespace <= guaranteedTo(one.flow) };
    })
    .sort(
      (a, b) =>
        a.one.flow.priority - b.one.flow.priority ||
        Number(a.isSure) - Number(b.isSure) ||
        b.ofNamespace - a.ofNamespace ||
        b.ofTenant - a.ofTenant ||
        ahead(b.one.flow, a.one.flow) ||
        b.place - a.place,
    );
  return victim?.one.sequence;
};
