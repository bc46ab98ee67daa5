import { both, type RuleName } from './simulate.ts';
import type { Arm, Profile, Truth } from './traffic.ts';

const even: Profile = { name: 'even', weight: 50, nodes: 1, looks: 100, requestsPerLook: 100 };
/** A few users send much of the traffic, and users differ in how hard their requests are. */
const heavy: Profile = { ...even, name: 'heavy_users', users: { count: 3000, tail: 1.3 } };
const small: Profile = { ...even, name: 'weight_5', weight: 5, requestsPerLook: 400 };
const large: Profile = { ...even, name: 'weight_90', weight: 90 };
/** 200 nodes that differ in speed and errors, with half a request per look each; sticky users as well. */
const fleet: Profile = { ...heavy, name: 'many_nodes', nodes: 200, looks: 60 };
export const profiles = [even, heavy, small, large, fleet];
/** Fleets of equal nodes and of nodes with traffic as 1, 1/2, 1/3 ...: what it costs that none of them decides alone. */
const togetherOf = (nodes: number, skewed: boolean): Profile => ({
  ...even,
  name: `${skewed ? 'skewed' : 'equal'}_${nodes}`,
  nodes,
  skewed,
});
export const fleets = [5, 10, 100].flatMap((nodes) => [togetherOf(nodes, false), togetherOf(nodes, true)]);

const truths = (stable: Truth, canary: Truth): Readonly<Record<Arm, Truth>> => ({ stable, canary });
export type Scenario = {
  /** Part of the keys in the report. */
  readonly key: string;
  readonly profile: Profile;
  readonly truth: Readonly<Record<Arm, Truth>>;
  /** What the fixed rules are told, halfway to the harm; p99 as a factor of what is normal for the profile. */
  readonly limits: { readonly errors: number; readonly slower: number };
  readonly watched: readonly RuleName[];
};

export const good: Truth = { errors: 0.01, slower: 1 };
const limits = { errors: 0.02, slower: 1.1 };

/** Canaries that are exactly like stable. */
export const falseAlarms: readonly Scenario[] = profiles.map((profile) => ({
  key: profile.name,
  profile,
  truth: both(good),
  limits,
  watched: [
    'errors',
    'latency',
    'mann_whitney',
    'sample_ratio',
    'z_test',
    'argo_rule',
    'argo_rule_p99',
    'flagger_rule',
    'flagger_rule_p99',
  ],
}));

const errors = (profile: Profile, stable: number, canary: number): Scenario => ({
  key: `${stable * 100}_to_${canary * 100}pct${profile === even ? '' : `_${profile.name}`}`,
  profile,
  truth: truths({ ...good, errors: stable }, { ...good, errors: canary }),
  limits: { ...limits, errors: (stable + canary) / 2 },
  watched: ['errors', 'argo_rule', 'flagger_rule'],
});

const slower = (profile: Profile, factor: number): Scenario => ({
  key: `latency_${String(factor).replace('.', '_')}x${profile === even ? '' : `_${profile.name}`}`,
  profile,
  truth: truths(good, { ...good, slower: factor }),
  limits: { ...limits, slower: (1 + factor) / 2 },
  watched: ['latency', 'plain_mean', 'mann_whitney', 'argo_rule_p99', 'flagger_rule_p99'],
});

/** Canaries that do harm. */
export const effects: readonly Scenario[] = [
  errors(even, 0.01, 0.03),
  errors(even, 0.01, 0.05),
  errors(even, 0.05, 0.15),
  slower(even, 1.2),
  slower(even, 1.5),
  ...[heavy, small, large, fleet].flatMap((profile) => [errors(profile, 0.01, 0.03), slower(profile, 1.2)]),
];

/** By all counts together, and as in a fleet in which no node decides alone. */
const together: readonly RuleName[] = ['errors', 'errors_together', 'latency', 'latency_together'];
export const togetherAlarms: readonly Scenario[] = fleets.map((profile) => ({
  key: profile.name,
  profile,
  truth: both(good),
  limits,
  watched: together,
}));
export const togetherEffects: readonly Scenario[] = fleets.map((profile) => ({
  key: `harm_${profile.name}`,
  profile,
  truth: truths(good, { errors: 0.03, slower: 1.2 }),
  limits,
  watched: together,
}));
