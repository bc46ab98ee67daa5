import { objectKey } from '../api/names.ts';
import { bound } from '../plan/manifests.fixture.ts';
import { adapterResource } from '../plan/resources.fixture.ts';
import {
  type AdapterResource,
  type Plan,
  type Resource,
  type RouteResource,
  resourceKey,
  type SplitResource,
  versioned,
} from '../plan/resources.ts';
import type { Revision } from './revision.ts';
import type { Target } from './sender.ts';

/** Resources of the namespace team-a, unless the name has one. */
const keyed = (name: string) => {
  const [first = '', second] = name.split('/');
  return second === undefined ? objectKey('team-a', first) : objectKey(first, second);
};

export const adapter = (name: string, more: Partial<AdapterResource['body']> = {}): AdapterResource =>
  adapterResource(keyed(name), { tier: 'Memory', ...more });

export const split = (name: string, more: Partial<SplitResource['body']> = {}): SplitResource => ({
  type: 'Split',
  name: keyed(name),
  body: {
    uid: `uid-${name}`,
    createdAt: '2023-11-14T22:13:20.000Z',
    weight: 0,
    hashOn: 'User',
    guard: { maxConsecutiveErrors: 5 },
    message: '',
    ...more,
  },
});

/** A route to the base model, or to adapters and then to a fallback. */
export const route = (
  name: string,
  {
    model = name,
    targets = [],
    fallback = [],
  }: { model?: string; targets?: string[]; fallback?: string[] } = {},
): RouteResource => ({
  type: 'Route',
  name: keyed(name),
  body: {
    uid: `uid-${name}`,
    createdAt: '2023-11-14T22:13:20.000Z',
    model,
    rules: [
      {
        name: 'all',
        matches: [],
        targets:
          targets.length === 0
            ? [{ base: true, weight: 1 }]
            : targets.map((one) => ({ adapter: one, weight: 1 })),
        hashOn: 'User',
        fallback: fallback.map((one) => ({ adapter: one })),
      },
    ],
  },
});

export const arm = bound;

export const planOf = (...resources: readonly Resource[]): Plan =>
  new Map(resources.map((resource) => [resourceKey(resource), versioned(resource)]));

/** `count` adapters that the plan wants in memory: a-0, a-1, … */
export const adapters = (count: number, more: Partial<AdapterResource['body']> = {}): AdapterResource[] =>
  Array.from({ length: count }, (_, index) => adapter(`a-${index}`, more));

export const at = (n: number, more: Partial<Revision> = {}): Revision => ({
  adapters: BigInt(n),
  rollouts: BigInt(n),
  routes: BigInt(n),
  runtimes: BigInt(n),
  policies: BigInt(n),
  ...more,
});

export const targetOf = (plan: Plan, revision: Revision, more: Partial<Target> = {}): Target => ({
  plan,
  revision,
  withheld: new Set(),
  mayRemove: () => true,
  confirmedRemovals: '',
  ...more,
});
