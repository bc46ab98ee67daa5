import { knownFields } from '../../src/api/loosely.ts';

/** A JSON schema as zod writes it, or as Kubernetes reads it. */
export type Schema = { readonly [keyword: string]: unknown };

/** Keywords that are the same in both, in the order in which they are written. */
const kept = [
  'description',
  'type',
  'format',
  'enum',
  'default',
  'pattern',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'maxProperties',
  'minimum',
  'maximum',
  'required',
];

/** Keywords that say nothing to the API server: it prunes unknown fields, and maps have no schema for their keys. */
const dropped = new Set(['$schema', 'propertyNames', 'id']);

const nested = new Set(['properties', 'items', 'additionalProperties']);
type Nested = {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | false;
};

/** What the CRD has of an object whose other fields the API server does not look at: rules may be about those. */
const knownPart = (schema: Schema): Schema => {
  const {
    description,
    type,
    required = [],
    properties = {},
  } = schema as Nested & {
    readonly description?: string;
    readonly type?: string;
    readonly required?: readonly string[];
  };
  const known = schema[knownFields] as readonly string[];
  const needed = required.filter((name) => known.includes(name));
  const fields = Object.entries(properties).filter(([name]) => known.includes(name));
  return {
    description,
    type,
    ...(needed.length === 0 ? {} : { required: needed }),
    ...(fields.length === 0 ? {} : { properties: Object.fromEntries(fields) }),
    'x-kubernetes-preserve-unknown-fields': true,
  };
};

const isExtension = (keyword: string): boolean => keyword.startsWith('x-kubernetes-');

/**
 * Turns the JSON schema that zod makes into a structural schema of a CustomResourceDefinition.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
 *
 * A keyword that it does not know is an error: nothing is lost silently. Lists are atomic unless they say otherwise.
 */
export const toStructural = (given: Schema, path = ''): Schema => {
  const schema = knownFields in given ? knownPart(given) : given;
  const unknown = Object.keys(schema).find(
    (k) => !kept.includes(k) && !nested.has(k) && !dropped.has(k) && !isExtension(k),
  );
  if (unknown !== undefined) {
    throw new Error(`${path || 'the schema'} has ${unknown}, which a structural schema cannot express`);
  }
  const out: Record<string, unknown> = {};
  for (const keyword of kept) if (keyword in schema) out[keyword] = schema[keyword];
  // JavaScript escapes every slash in the source of a regular expression; nobody else needs that.
  if (typeof out.pattern === 'string') out.pattern = out.pattern.replaceAll('\\/', '/');
  if (out.type === 'integer') integerBounds(out);
  if (out.type === 'array') out['x-kubernetes-list-type'] = 'atomic';
  for (const [keyword, value] of Object.entries(schema)) if (isExtension(keyword)) out[keyword] = value;
  const { properties, items, additionalProperties } = schema as Nested;
  if (properties !== undefined) out.properties = mapValues(properties, path);
  if (items !== undefined) out.items = toStructural(items, `${path}[]`);
  if (additionalProperties !== undefined && additionalProperties !== false) {
    out.additionalProperties = toStructural(additionalProperties, `${path}{}`);
  }
  return out;
};

const mapValues = (properties: Readonly<Record<string, Schema>>, path: string): Record<string, Schema> =>
  Object.fromEntries(
    Object.entries(properties).map(([name, value]) => [name, toStructural(value, `${path}.${name}`)]),
  );

/** zod bounds every integer by what a double holds; Kubernetes has formats for that. */
const integerBounds = (out: Record<string, unknown>): void => {
  if (out.minimum === Number.MIN_SAFE_INTEGER) delete out.minimum;
  if (out.maximum === Number.MAX_SAFE_INTEGER) delete out.maximum;
  out.format = typeof out.maximum === 'number' && out.maximum < 2 ** 31 ? 'int32' : 'int64';
};
