import type { Digest } from '../../api/names.ts';
import { plannedRules } from '../../plan/planned-rules.ts';
import type { Resource, RouteResource, SplitResource } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { Prompt } from '../engine/engine.ts';
import { rule } from '../routing/plan.fixture.ts';
import type { RequestContext } from '../routing/request.ts';
import { buildTable } from '../routing/table.ts';
import { Sessions } from '../sessions/sessions.ts';
import { adapter, dataPathOver, good, key, next, planOf, split } from './data-path.fixture.ts';
import type { Demand } from './demand.ts';

export const sessionKey = Buffer.alloc(32, 1).toString('base64url');
export const minute = 60_000;

/** For tests: a route, as a plan has it, with rules as a manifest says them. */
export const front = (rules: readonly Record<string, unknown>[], key_ = sessionKey): RouteResource => ({
  type: 'Route',
  name: key('front'),
  body: {
    uid: 'f',
    createdAt: '',
    model: 'front',
    rules: plannedRules(rules.map(rule)),
    sessionKey: key_,
  },
});

export const stickyRule = (change: Record<string, unknown> = {}) => ({
  name: 'all',
  targets: [{ rollout: 'sql' }],
  stickyDecision: {},
  ...change,
});
/** Two adapters, and chance for each request. */
export const byChance = stickyRule({
  targets: [{ adapter: 'good' }, { adapter: 'next' }],
  hashOn: 'Request',
});

export const rollout = (change: Partial<SplitResource['body']>): SplitResource => {
  const found = split(0);
  if (found.type !== 'Split') throw new Error('not a split');
  return { ...found, body: { ...found.body, ...change } };
};

/** As of a node with an operator: requests wait for it between their decision and what they are given. */
const demand: Demand = { bring: async () => 'unknown', used: () => undefined };

const plan = (more: readonly Resource[]) => planOf(adapter('good'), adapter('next'), ...more);

/** Headers of a request that sends a token back. */
const back = (token: string | undefined) => new Map([['x-adaptlet-session-token', token ?? '']]);

/** A node with a table of sessions of its own. */
export const nodeWith = (...resources: readonly Resource[]) => {
  const clock = new FakeClock();
  const sessions = new Sessions(clock);
  /** What is in RAM; tests take from it. */
  const resident: Record<string, Digest> = { good, next };
  const made = dataPathOver(plan(resources), resident, demand, sessions);
  const ask = async (
    session: string | undefined,
    who: Partial<RequestContext> = {},
    path = made.path,
    prompt: Prompt = { kind: 'text', text: 'hello' },
  ) => {
    const context: RequestContext = {
      namespace: 'default',
      model: 'front',
      user: 'u1',
      headers: new Map(),
      ...(session === undefined ? {} : { session }),
      ...who,
    };
    const generation = await path.generate(
      context,
      { ...made.request, prompt },
      new AbortController().signal,
    );
    await Array.fromAsync(generation.events);
    return generation.served;
  };
  const inForce = (...now: readonly Resource[]) => {
    made.tables.now = buildTable(plan(now), { name: 'tiny' });
  };
  return { ...made, resident, sessions, sessionClock: clock, ask, inForce, back };
};
