import type { z } from 'zod';
import { type AdapterSpec, adapterSpecSchema } from '../api/adapter.ts';
import { digestSchema } from '../api/names.ts';
import type { AdapterObject, Meta, PolicyObject, RolloutObject, RouteObject } from '../api/objects.ts';
import { policySpecSchema } from '../api/policy.ts';
import { type RolloutSpec, rolloutSpecSchema } from '../api/rollout.ts';
import { type RolloutStatus } from '../api/rollout-status.ts';
import { type RouteSpec, routeSpecSchema } from '../api/route.ts';

/** Objects for tests of the plan compiler; `at` is the second of their creation. */
type Identity = {
  readonly name: string;
  readonly namespace?: string;
  readonly at?: number;
  readonly uid?: string;
};

const meta = (
  kind: string,
  { name, namespace = 'team-a', at = 0, uid = `${kind}-${namespace}-${name}` }: Identity,
): Meta => ({
  namespace,
  name,
  uid,
  generation: 1,
  creationTimestamp: new Date(1_700_000_000_000 + at * 1000).toISOString(),
  annotations: {},
  labels: {},
});

export const anAdapter = (identity: Identity, spec: Partial<AdapterSpec> = {}): AdapterObject => ({
  kind: 'Adapter',
  metadata: meta('Adapter', identity),
  spec: adapterSpecSchema.parse({ baseModel: 'tiny', source: { path: { path: identity.name } }, ...spec }),
});

export const aRollout = (
  identity: Identity,
  spec: Partial<RolloutSpec> & { readonly adapter: string },
  status?: RolloutStatus,
): RolloutObject => ({
  kind: 'AdapterRollout',
  metadata: meta('AdapterRollout', identity),
  spec: rolloutSpecSchema.parse(spec),
  ...(status === undefined ? {} : { status }),
});

export const aRoute = (identity: Identity, spec: Partial<RouteSpec> = {}): RouteObject => ({
  kind: 'AdapterRoute',
  metadata: meta('AdapterRoute', identity),
  spec: routeSpecSchema.parse({
    model: identity.name,
    rules: [{ name: 'all', targets: [{ base: true }] }],
    ...spec,
  }),
});

/** The policy of a namespace; `spec` is as a file has it. */
export const aPolicy = (
  namespace: string,
  spec: z.input<typeof policySpecSchema> = {},
  identity: Partial<Identity> = {},
): PolicyObject => ({
  kind: 'AdapterPolicy',
  metadata: meta('AdapterPolicy', { name: 'default', namespace, ...identity }),
  spec: policySpecSchema.parse(spec),
});

export const bound = (adapter: string) => ({
  adapter,
  uid: `Adapter-team-a-${adapter}`,
  digest: digestSchema.parse(`sha256:${'0'.repeat(64)}`),
});

export const aStatus = (more: Partial<RolloutStatus> = {}): RolloutStatus => ({
  observedGeneration: 1,
  phase: 'Healthy',
  revision: 7,
  message: '',
  history: [],
  weights: { canary: 0, stable: 100 },
  conditions: [],
  ...more,
});
