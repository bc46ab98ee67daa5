import { stringify } from 'yaml';
import { z } from 'zod';
import { adapterSpecSchema } from '../../src/api/adapter.ts';
import { adapterStatusSchema } from '../../src/api/adapter-status.ts';
import { policyName, policySpecSchema } from '../../src/api/policy.ts';
import { rolloutSpecSchema } from '../../src/api/rollout.ts';
import { rolloutStatusSchema } from '../../src/api/rollout-status.ts';
import { routeSpecSchema } from '../../src/api/route.ts';
import { routeStatusSchema } from '../../src/api/route-status.ts';
import { runtimeSpecSchema, runtimeStatusSchema } from '../../src/api/runtime.ts';
import type { CelRule } from '../../src/api/text.ts';
import { type Schema, toStructural } from './structural.ts';

type Column = {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly priority?: number;
};

export type Crd = {
  readonly kind: string;
  readonly plural: string;
  readonly shortName: string;
  readonly description: string;
  readonly spec: z.ZodType;
  /** Absent: the kind has none. */
  readonly status?: z.ZodType;
  readonly columns: readonly Column[];
  /** Rules about an object as a whole. */
  readonly rules?: readonly CelRule[];
};

const age: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** Every kind of the API. */
export const definitions: readonly Crd[] = [
  {
    kind: 'Adapter',
    plural: 'adapters',
    shortName: 'ad',
    description: 'An Adapter is one immutable adapter artifact for one base model, pinned by digest.',
    spec: adapterSpecSchema,
    status: adapterStatusSchema,
    rules: [
      {
        rule: '!has(oldSelf.status) || !has(oldSelf.status.digest) || (has(self.status) && has(self.status.digest) && self.status.digest == oldSelf.status.digest)',
        message: 'status.digest never changes once it is set: create a new Adapter for other content',
      },
    ],
    columns: [
      { name: 'Base', type: 'string', jsonPath: '.spec.baseModel' },
      { name: 'Digest', type: 'string', jsonPath: '.status.columns.digest' },
      { name: 'Resident', type: 'string', jsonPath: '.status.columns.resident' },
      { name: 'Failed', type: 'integer', jsonPath: '.status.runtimes.failed' },
      { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
      {
        name: 'Reason',
        type: 'string',
        jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
        priority: 1,
      },
      { name: 'Size', type: 'integer', jsonPath: '.status.sizeBytes', priority: 1 },
      { name: 'Rank', type: 'integer', jsonPath: '.status.rank', priority: 1 },
      { name: 'Priority', type: 'integer', jsonPath: '.spec.priority', priority: 1 },
      age,
    ],
  },
  {
    kind: 'AdapterRollout',
    plural: 'adapterrollouts',
    shortName: 'aro',
    description:
      'An AdapterRollout is the stable name that clients call; a change of its adapter happens step by step.',
    spec: rolloutSpecSchema,
    status: rolloutStatusSchema,
    rules: [
      {
        rule: '!has(oldSelf.status) || !has(oldSelf.status.leaderEpoch) || (has(self.status) && has(self.status.leaderEpoch) && self.status.leaderEpoch >= oldSelf.status.leaderEpoch)',
        message: 'status.leaderEpoch never decreases: a later leader has decided already',
      },
    ],
    columns: [
      { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
      { name: 'Stable', type: 'string', jsonPath: '.status.stable.adapter' },
      { name: 'Canary', type: 'string', jsonPath: '.status.canary.adapter' },
      { name: 'Step', type: 'string', jsonPath: '.status.columns.step' },
      { name: 'Weight', type: 'integer', jsonPath: '.status.weights.canary' },
      { name: 'Observed', type: 'integer', jsonPath: '.status.weights.observedCanary' },
      { name: 'Ready', type: 'string', jsonPath: '.status.columns.ready' },
      { name: 'Message', type: 'string', jsonPath: '.status.message', priority: 1 },
      age,
    ],
  },
  {
    kind: 'AdapterRoute',
    plural: 'adapterroutes',
    shortName: 'art',
    description:
      'An AdapterRoute sends each request for a model name to a rollout, an adapter or the base model.',
    spec: routeSpecSchema,
    status: routeStatusSchema,
    columns: [
      { name: 'Model', type: 'string', jsonPath: '.spec.model' },
      { name: 'Accepted', type: 'string', jsonPath: '.status.conditions[?(@.type=="Accepted")].status' },
      { name: 'Programmed', type: 'string', jsonPath: '.status.columns.programmed' },
      { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
      age,
    ],
  },
  {
    kind: 'AdapterPolicy',
    plural: 'adapterpolicies',
    shortName: 'apol',
    description:
      'An AdapterPolicy says what a namespace may use and who may ask for its names. One in a namespace.',
    spec: policySpecSchema,
    rules: [
      {
        rule: `self.metadata.name == "${policyName}"`,
        message: `metadata.name must be ${policyName}: a namespace has one policy`,
      },
    ],
    columns: [
      { name: 'Anonymous', type: 'string', jsonPath: '.spec.clients.anonymous' },
      { name: 'Base', type: 'string', jsonPath: '.spec.base' },
      { name: 'Memory', type: 'string', jsonPath: '.spec.limits.adapterMemory.limit' },
      { name: 'Requests', type: 'integer', jsonPath: '.spec.limits.requests.limit' },
      age,
    ],
  },
  {
    kind: 'AdapterRuntime',
    plural: 'adapterruntimes',
    shortName: 'adr',
    description: 'An AdapterRuntime is one running runtime: what it is, has and serves. Written by Adaptlet.',
    spec: runtimeSpecSchema,
    status: runtimeStatusSchema,
    columns: [
      { name: 'Base', type: 'string', jsonPath: '.status.baseModel.name' },
      { name: 'Connected', type: 'string', jsonPath: '.status.conditions[?(@.type=="Connected")].status' },
      { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
      { name: 'Resident', type: 'integer', jsonPath: '.status.adapters.resident' },
      { name: 'Failed', type: 'integer', jsonPath: '.status.adapters.failed' },
      { name: 'Cordoned', type: 'string', jsonPath: '.status.conditions[?(@.type=="Cordoned")].status' },
      { name: 'Held', type: 'string', jsonPath: '.status.conditions[?(@.type=="Held")].status' },
      { name: 'Provider', type: 'string', jsonPath: '.status.executionProvider', priority: 1 },
      { name: 'Version', type: 'string', jsonPath: '.status.version', priority: 1 },
      age,
    ],
  },
];

/** The structural schema of a spec or a status. */
export const structural = (schema: z.ZodType): Schema =>
  toStructural(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input' }) as Schema);

const objectSchema = ({ description, spec, status, rules }: Crd): Schema => ({
  type: 'object',
  description,
  required: ['spec'],
  properties: {
    apiVersion: { type: 'string', description: 'adaptlet.io/v1alpha1' },
    kind: { type: 'string', description: 'The kind of the object.' },
    metadata: { type: 'object' },
    spec: structural(spec),
    ...(status === undefined ? {} : { status: structural(status) }),
  },
  ...(rules === undefined ? {} : { 'x-kubernetes-validations': rules }),
});

/** One CustomResourceDefinition as an object. */
const definition = (crd: Crd) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${crd.plural}.adaptlet.io` },
  spec: {
    group: 'adaptlet.io',
    scope: 'Namespaced',
    names: {
      kind: crd.kind,
      listKind: `${crd.kind}List`,
      plural: crd.plural,
      singular: crd.kind.toLowerCase(),
      shortNames: [crd.shortName],
      categories: ['adaptlet'],
    },
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        ...(crd.status === undefined ? {} : { subresources: { status: {} } }),
        additionalPrinterColumns: crd.columns,
        schema: { openAPIV3Schema: objectSchema(crd) },
      },
    ],
  },
});

const header = '# Generated from src/api by `npm run gen`. Do not edit.\n';

/** The CustomResourceDefinitions, as repository-relative path and YAML. */
export const crds = async (): Promise<Map<string, string>> =>
  new Map(
    definitions.map((crd) => [
      `crds/adaptlet.io_${crd.plural}.yaml`,
      header + stringify(definition(crd), { aliasDuplicateObjects: false, lineWidth: 120 }),
    ]),
  );
