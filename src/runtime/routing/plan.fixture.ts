import { fakeDigest } from '../../api/names.fixture.ts';
import type { ObjectKey } from '../../api/names.ts';
import { type Rule, ruleSchema } from '../../api/route.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import {
  type AdapterResource,
  type Plan,
  type Resource,
  type RouteResource,
  resourceKey,
  type SplitResource,
} from '../../plan/resources.ts';
import type { ServingFacts } from './decision.ts';
import type { RequestContext } from './request.ts';

/** For tests: a rule as a manifest would say it. */
export const rule = (input: Record<string, unknown>): Rule => ruleSchema.parse(input);

export const adapter = (key: string): AdapterResource => adapterResource(key as ObjectKey);

export const split = (key: string, change: Partial<SplitResource['body']> = {}): SplitResource => ({
  type: 'Split',
  name: key as ObjectKey,
  body: {
    uid: `uid-${key}`,
    createdAt: '2026-01-01T00:00:00Z',
    stable: { adapter: 'v1', uid: 'uid-v1', digest: fakeDigest('1') },
    weight: 0,
    hashOn: 'User',
    guard: { maxConsecutiveErrors: 5 },
    message: '',
    ...change,
  },
});

/** For tests: the body of a split with v2 as canary. */
export const withCanary = (weight: number): Partial<SplitResource['body']> => ({
  canary: { adapter: 'v2', uid: 'uid-v2', digest: fakeDigest('2'), seed: '0123456789abcdef', attempt: 1 },
  weight,
});

export const routeOf = (
  key: string,
  model: string,
  rules: readonly Rule[],
  createdAt = '2026-01-01T00:00:00Z',
): RouteResource => ({
  type: 'Route',
  name: key as ObjectKey,
  body: { uid: `uid-${key}`, createdAt, model, rules },
});

export const planOf = (...resources: readonly Resource[]): Plan =>
  new Map(resources.map((r) => [resourceKey(r), { ...r, version: JSON.stringify(r.body) }]));

export const everythingResident: ServingFacts = { serves: () => true, isHeld: () => false };

export const context = (
  model: string,
  who: Partial<Omit<RequestContext, 'headers'>> & {
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): RequestContext => ({
  namespace: 'team-a',
  model,
  ...who,
  headers: new Map(Object.entries(who.headers ?? {})),
});
