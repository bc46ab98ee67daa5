import { z } from 'zod';
import { adapterSpecSchema } from './adapter.ts';
import { analysisSpecSchema } from './analysis.ts';
import { metadataSchema } from './metadata.ts';
import { apiVersion } from './names.ts';
import { policyName, policySpecSchema } from './policy.ts';
import { rolloutSpecSchema } from './rollout.ts';
import { routeSpecSchema } from './route.ts';

const object = <K extends string, S extends z.ZodType>(kind: K, spec: S, metadata = metadataSchema) =>
  z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(kind),
    metadata,
    spec,
  });

/** There is one policy in a namespace. */
const policyMetadata = metadataSchema.extend({
  name: metadataSchema.shape.name.refine((name) => name === policyName, {
    error: `must be ${policyName}: a namespace has one policy`,
  }),
});

/** The objects that users write, as a file has them. */
export const kinds = {
  Adapter: object('Adapter', adapterSpecSchema),
  AdapterRollout: object('AdapterRollout', rolloutSpecSchema),
  AdapterRoute: object('AdapterRoute', routeSpecSchema),
  AdapterAnalysis: object('AdapterAnalysis', analysisSpecSchema),
  AdapterPolicy: object('AdapterPolicy', policySpecSchema, policyMetadata),
};
export type Kind = keyof typeof kinds;

export const isKind = (kind: string): kind is Kind => Object.hasOwn(kinds, kind);

type Node = {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
};

const fieldTrees = new Map<Kind, Node>();

const fieldTree = (kind: Kind): Node => {
  const known = fieldTrees.get(kind);
  if (known !== undefined) return known;
  const tree = z.toJSONSchema(kinds[kind], { io: 'input', target: 'openapi-3.0' }) as Node;
  fieldTrees.set(kind, tree);
  return tree;
};

/** Names of the fields that an object of this kind may have at a path. */
export const fieldsAt = (kind: Kind, path: readonly PropertyKey[]): string[] => {
  let node: Node | undefined = fieldTree(kind);
  for (const part of path) node = typeof part === 'number' ? node?.items : node?.properties?.[String(part)];
  return Object.keys(node?.properties ?? {});
};
