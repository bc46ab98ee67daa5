import { stringify } from 'yaml';
import { z } from 'zod';
import { adapterSpecSchema } from '../../src/api/adapter.ts';
import { rolloutSpecSchema } from '../../src/api/rollout.ts';
import { rolloutStatusSchema } from '../../src/api/rollout-status.ts';
import { routeSpecSchema } from '../../src/api/route.ts';
import { runtimeSpecSchema, runtimeStatusSchema } from '../../src/api/runtime.ts';
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
  readonly status: z.ZodType;
  readonly columns: readonly Column[];
};

/** Nothing is written there yet; the subresource is on from the start, because turning it on later breaks clients. */
const noStatus = z.strictObject({}).meta({ description: 'Nothing is reported yet.' });

const age: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** Every kind of the API. */
export const definitions: readonly Crd[] = [
  {
    kind: 'Adapter',
    plural: 'adapters',
    shortName: 'ad',
    description: 'An Adapter is one immutable adapter artifact for one base model, pinned by digest.',
    spec: adapterSpecSchema,
    status: noStatus,
    columns: [
      { name: 'Base', type: 'string', jsonPath: '.spec.baseModel' },
      { name: 'Preload', type: 'string', jsonPath: '.spec.preload.tier' },
      { name: 'Priority', type: 'integer', jsonPath: '.spec.priority', priority: 1 },
      { name: 'Digest', type: 'string', jsonPath: '.spec.digest', priority: 1 },
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
    columns: [
      { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
      { name: 'Stable', type: 'string', jsonPath: '.status.stable.adapter' },
      { name: 'Canary', type: 'string', jsonPath: '.status.canary.adapter' },
      { name: 'Step', type: 'integer', jsonPath: '.status.step.index' },
      { name: 'Weight', type: 'integer', jsonPath: '.status.weights.canary' },
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
    status: noStatus,
    columns: [{ name: 'Model', type: 'string', jsonPath: '.spec.model' }, age],
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
      { name: 'Ready', type: 'boolean', jsonPath: '.status.ready' },
      { name: 'Resident', type: 'integer', jsonPath: '.status.adapters.resident' },
      { name: 'Failed', type: 'integer', jsonPath: '.status.adapters.failed' },
      { name: 'Provider', type: 'string', jsonPath: '.status.executionProvider', priority: 1 },
      { name: 'Version', type: 'string', jsonPath: '.status.version', priority: 1 },
      age,
    ],
  },
];

/** The structural schema of a spec or a status. */
export const structural = (schema: z.ZodType): Schema =>
  toStructural(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input' }) as Schema);

const objectSchema = ({ description, spec, status }: Crd): Schema => ({
  type: 'object',
  description,
  required: ['spec'],
  properties: {
    apiVersion: { type: 'string', description: 'adaptlet.io/v1alpha1' },
    kind: { type: 'string', description: 'The kind of the object.' },
    metadata: { type: 'object' },
    spec: structural(spec),
    status: structural(status),
  },
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
        subresources: { status: {} },
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
