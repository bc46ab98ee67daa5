import { createHash } from 'node:crypto';
import type { Digest } from '../../api/names.ts';
import type { Clock } from '../../time/clock.ts';
import { ByNamespace } from '../routing/by-namespace.ts';
import type { Candidate, Keepable, KeepsSessions, KeptChoice } from '../routing/decision.ts';
import { sessionTokenHeader } from '../routing/identity.ts';
import type { RequestContext, ServedBy } from '../routing/request.ts';
import { keepsDecisions } from '../routing/sticky.ts';
import type { RouteEntry } from '../routing/table.ts';
import { type Refusal, readToken, signToken, type TokenContent } from './token.ts';

/** Sessions that a node remembers. */
const maxSessions = 20_000;
/** Milliseconds by which the clock of another node may be ahead. */
const skewMs = 5 * 60_000;

type SessionEntry = {
  readonly choice: KeptChoice;
  /** Wall time in milliseconds of its last request. */
  readonly at: number;
  /** The requests that were decided so, while none of the session was given anything. Absent: one was. */
  readonly waiting?: Set<RequestContext>;
};

/** Tokens that came with requests, by what became of them. */
type TokenCounts = Readonly<Record<Refusal | 'over' | 'accepted', number>>;

/** A token that was read by the key of a route; undefined: it counts for nothing. */
type Told = { readonly key: string; readonly content: TokenContent | undefined };

/**
 * What sessions keep of routes.
 *
 * Guarantees: a session has what its first request was decided to, for as long as the route has it and the session is not idle
 * for longer than its rule says; of what the node remembers and what a token says the newer one counts; a token that is not of
 * this route and caller, or over, is as none.
 */
export class Sessions implements KeepsSessions {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #table = new ByNamespace<SessionEntry>(maxSessions);
  /** A request may be routed several times; its token is read once, unless its name is that of another route by then. */
  readonly #read = new WeakMap<RequestContext, Told>();
  readonly #tokens = { accepted: 0, malformed: 0, foreign: 0, over: 0 };

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** Sessions in memory, and tokens that came. */
  totals(): { readonly sessions: number; readonly tokens: TokenCounts } {
    return { sessions: this.#table.weight, tokens: this.#tokens };
  }

  /** What the session of a request keeps of a route; undefined: nothing. */
  readonly kept = (route: RouteEntry, context: RequestContext): KeptChoice | undefined => {
    if (!keepsDecisions(route)) return undefined;
    const known = this.#known(route, context);
    const told = this.#told(route, context);
    if (known === undefined) return told?.choice;
    return told !== undefined && known.waiting === undefined && told.at > known.at
      ? told.choice
      : known.choice;
  };

  decided(context: RequestContext, first: Candidate): void {
    const { keepable } = first;
    if (keepable === undefined) return;
    const known = this.#known(keepable.route, context);
    // What is known but was not followed is no more: the route does not have it, or a token is newer.
    if (known?.choice.rule === keepable.rule && known.choice.target === keepable.target) {
      known.waiting?.add(context);
      return;
    }
    const digest = first.kind === 'adapter' ? first.digest : undefined;
    const choice = choiceOf(keepable, first, digest);
    this.#remember(keepable, context, { choice, waiting: new Set([context]) });
  }

  served(
    context: RequestContext,
    first: Candidate,
    candidate: Candidate,
    { digest }: Pick<ServedBy, 'digest'>,
  ): string | undefined {
    // Where the target alone is kept, a fallback is for this request alone.
    const keepable =
      first.keepable?.sticky.keeps === 'Target' ? first.keepable : (candidate.keepable ?? first.keepable);
    if (keepable === undefined) return undefined;
    const choice = choiceOf(keepable, candidate, digest);
    const at = this.#remember(keepable, context, { choice });
    const { sessionKey } = keepable.route.resource.body;
    return sessionKey === undefined ? undefined : signToken({ choice, at }, whoseOf(context), sessionKey);
  }

  failed(context: RequestContext, { keepable }: Candidate): void {
    if (keepable === undefined) return;
    const waiting = this.#known(keepable.route, context)?.waiting;
    if (waiting?.delete(context) !== true || waiting.size > 0) return;
    const id = idOf(keepable.route, context);
    if (id !== undefined) this.#table.delete(context.namespace, id);
  }

  #known(route: RouteEntry, context: RequestContext): SessionEntry | undefined {
    const id = idOf(route, context);
    if (id === undefined) return undefined;
    const found = this.#table.get(context.namespace, id);
    if (found === undefined || isInTime(route, found, this.#clock.now())) return found;
    this.#table.delete(context.namespace, id);
    return undefined;
  }

  /** The result: when. */
  #remember(
    { route }: Keepable,
    context: RequestContext,
    entry: Pick<SessionEntry, 'choice' | 'waiting'>,
  ): number {
    const at = this.#clock.now();
    const id = idOf(route, context);
    if (id !== undefined) this.#table.set(context.namespace, id, { ...entry, at });
    return at;
  }

  /** What a token says that is right. */
  #told(route: RouteEntry, context: RequestContext): TokenContent | undefined {
    const token = context.headers.get(sessionTokenHeader);
    const { sessionKey: key } = route.resource.body;
    if (token === undefined || key === undefined) return undefined;
    const known = this.#read.get(context);
    if (known?.key === key) return known.content;
    const read = readToken(token.trim(), whoseOf(context), key);
    const result = typeof read === 'string' || isInTime(route, read, this.#clock.now()) ? read : 'over';
    const content = typeof result === 'string' ? undefined : result;
    this.#read.set(context, { key, content });
    this.#tokens[typeof result === 'string' ? result : 'accepted'] += 1;
    return content;
  }
}

/** Whether its rule keeps sessions for so long. A rule that the route does not have any more keeps none. */
const isInTime = (
  { rules }: RouteEntry,
  { choice, at }: Pick<SessionEntry, 'choice' | 'at'>,
  now: number,
): boolean => {
  const idleMs = rules.find(({ name }) => name === choice.rule)?.sticky?.idleMs ?? 0;
  return at + idleMs > now && at <= now + skewMs;
};

const choiceOf = (
  { rule, target, sticky }: Keepable,
  candidate: Candidate,
  digest: Digest | undefined,
): KeptChoice => {
  const arm = armOf(candidate);
  const isVersion = sticky.keeps === 'Version' && target.startsWith('rollout:');
  return isVersion && arm !== '' && digest !== undefined
    ? { rule, target, version: { arm, digest } }
    : { rule, target };
};

const armOf = (candidate: Candidate): ServedBy['arm'] => {
  if (candidate.kind === 'base') return 'base';
  return candidate.kind === 'adapter' ? candidate.arm : '';
};

/** Sessions of two callers, tenants or users are not the same. */
const whoseOf = ({ namespace, caller, tenant, user, session }: RequestContext): string =>
  JSON.stringify([namespace, caller, tenant, user, session]);

/** Short, whatever a caller calls its sessions. Undefined: the request has none. */
const idOf = ({ resource }: RouteEntry, context: RequestContext): string | undefined =>
  context.session === undefined
    ? undefined
    : createHash('sha256')
        .update(`${resource.body.uid}\n${whoseOf(context)}`)
        .digest('base64url');
