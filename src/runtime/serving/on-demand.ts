import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Decision } from '../routing/decision.ts';
import { adapterAskedFor } from '../routing/names.ts';
import type { RequestContext } from '../routing/request.ts';
import type { Brought, Demand } from './demand.ts';

/** What the caller is told in addition when a name could not be brought. */
const why: Record<Brought, string> = {
  here: '',
  unknown: 'the operator knows none either',
  away: 'the operator, which might know it, is not connected',
  late: 'the operator, which might know it, did not answer in time',
  busy: 'too many unknown names are being looked up at the operator',
};

/**
 * Routes; an Adapter that the plan does not have is asked for once, and then the request is routed again.
 * @throws those of `route`, with what came of asking
 */
export const routeOnDemand = async (
  route: Route,
  context: RequestContext,
  demand: Demand,
  signal: AbortSignal,
): Promise<Decision> => {
  const first = await attempt(route);
  const missing =
    'refusal' in first
      ? adapterAskedFor(context.namespace, context.model)
      : first.candidates.flatMap((c) => (c.kind === 'unavailable' ? (c.missing ?? []) : []))[0];
  if (missing === undefined) {
    if ('refusal' in first) throw first.refusal;
    return first;
  }
  const brought = await demand.bring(missing, signal);
  signal.throwIfAborted();
  const second = brought === 'here' ? await attempt(route) : first;
  if ('refusal' in second) throw explained(second.refusal, brought);
  const candidates = second.candidates.map((candidate) =>
    candidate.kind === 'unavailable' && candidate.missing === missing && why[brought] !== ''
      ? { ...candidate, reason: `${candidate.reason}; ${why[brought]}` }
      : candidate,
  );
  return { candidates };
};

type Route = () => Decision | Promise<Decision>;

type Attempt = Decision | { readonly refusal: AdaptletError };

const attempt = async (route: Route): Promise<Attempt> => {
  try {
    return await route();
  } catch (error) {
    if (error instanceof AdaptletError && error.code === 'MODEL_NOT_FOUND') return { refusal: error };
    throw error;
  }
};

const explained = (refusal: AdaptletError, brought: Brought): AdaptletError =>
  why[brought] === ''
    ? refusal
    : new AdaptletError(refusal.code, `${refusal.what}; ${why[brought]}`, {
        advice: refusal.advice,
        cause: refusal,
      });
