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
  /** Of keys and values that its next step needs. Absent: none. */
  readonly kvBytes?: number;
};

/** Who waits while no place is free. */
export type Waiting = {
  readonly flow: Flow;
  /** Its adapter has no row, and has got none for too long. */
  readonly isOverdue: boolean;
  /** What it lacks. Absent: a row. */
  readonly lacks?: 'row' | 'memory';
  /** Its namespace is sure to have the memory that it lacks. Absent: no. */
  readonly isOwedMemory?: boolean;
};

/** Tokens that whoever got a place gives at least: saving and restoring keys and values must not eat up the gain. */
export const minTokens = 8;
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

/** What a namespace has of memory is guaranteed to it: for lack of memory its rows make way for its own only. */
export const keepsMemory = <S>(running: readonly Running<S>[], of: Flow): boolean => {
  const { kvGuaranteed = 0 } = of;
  const bytes = running.reduce(
    (sum, { flow, kvBytes = 0 }) => sum + (levelOf(flow, of) > namespaceLevel ? kvBytes : 0),
    0,
  );
  return kvGuaranteed > 0 && bytes <= kvGuaranteed;
};

const mayTake = <S>(
  victim: Running<S>,
  { flow: waiting, isOverdue, lacks = 'row', isOwedMemory = false }: Waiting,
  running: readonly Running<S>[],
  ahead: (a: Flow, b: Flow) => number,
): boolean => {
  const level = levelOf(victim.flow, waiting);
  const theirs = rowsOf(running, victim.flow, waiting);
  const own = rowsOf(running, waiting, victim.flow);
  if (level === namespaceLevel) {
    if (lacks === 'memory' && keepsMemory(running, victim.flow)) return false;
    if (lacks === 'memory' && isOwedMemory) return true;
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
 * - A namespace that lacks memory which is guaranteed to it gets it at once from rows of those that have more than that of it,
 *   their guaranteed rows included; for lack of memory none goes below what of it is guaranteed.
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
    .reduce<readonly Running<S>[]>((gone, { victim }) => {
      // A row is one of them; what goes beyond that goes for its memory.
      const isForRow = gone.length === 0 && waiting.lacks !== 'memory';
      const left = running.filter((one) => !gone.includes(one));
      const isOther = levelOf(victim.flow, waiting.flow) === namespaceLevel;
      return isOther && !isForRow && keepsMemory(left, victim.flow) ? gone : [...gone, victim];
    }, [])
    .map(({ sequence }) => sequence);

/**
 * Who makes way while those that run grow and memory is full: of a namespace that has more memory than is guaranteed to it, of the
 * lowest priority, of a namespace with more rows than are
 * guaranteed to it, of that with most, of its tenant with most rows, of those the one that had most service, then who got its
 * place last. Whoever got one gives some tokens first, and a prompt is computed, unless else a namespace would lose memory that is
 * guaranteed to it; undefined when all have given fewer.
 */
export const victimForRoom = <S>(
  running: readonly Running<S>[],
  ahead: (a: Flow, b: Flow) => number,
): S | undefined => {
  const isAnySure = running.some(({ flow }) => keepsMemory(running, flow));
  const [victim] = running
    .map((one) => {
      const keeps = keepsMemory(running, one.flow);
      return { one, keeps, isDue: one.tokens >= minTokens && one.filling !== true };
    })
    .filter(({ keeps, isDue }) => isDue || (isAnySure && !keeps))
    .map(({ one, ...how }, place) => {
      const ofNamespace = rowsAt(running, one.flow, namespaceLevel);
      const ofTenant = rowsAt(running, one.flow, namespaceLevel + 1);
      return { one, ...how, place, ofNamespace, ofTenant, isSure: ofNamespace <= guaranteedTo(one.flow) };
    })
    .sort(
      (a, b) =>
        Number(a.keeps) - Number(b.keeps) ||
        Number(b.isDue) - Number(a.isDue) ||
        a.one.flow.priority - b.one.flow.priority ||
        Number(a.isSure) - Number(b.isSure) ||
        b.ofNamespace - a.ofNamespace ||
        b.ofTenant - a.ofTenant ||
        ahead(b.one.flow, a.one.flow) ||
        b.place - a.place,
    );
  return victim?.one.sequence;
};

/** One that waits for its caller, where it keeps no memory that is guaranteed: those that grow would wait for him as well. */
export const standing = <S>(running: readonly Running<S>[]): S | undefined =>
  running.findLast(({ stalled = false, flow }) => stalled && !keepsMemory(running, flow))?.sequence;
