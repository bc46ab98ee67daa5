/** The part of an OpenAPI schema that a sample needs. */
export type Schema = {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string }[];
  readonly minimum?: number;
  readonly maximum?: number;
};

const texts = ['x', `sha256:${'0'.repeat(64)}`, '1s', '2026-01-02T03:04:05Z', '0'.repeat(16), 'a/x'];

/** The patterns that the rules of a text ask for. */
const patternsOf = ({ 'x-kubernetes-validations': rules = [] }: Schema): RegExp[] =>
  rules.flatMap(({ rule }) =>
    [...rule.matchAll(/self\.matches\(("(?:[^"\\]|\\.)*")\)/g)].map(
      ([, quoted = '""']) => new RegExp(JSON.parse(quoted) as string, 'u'),
    ),
  );

const sampleText = (schema: Schema): string => {
  const patterns = patternsOf(schema);
  const found = texts.find((text) => patterns.every((pattern) => pattern.test(text)));
  if (found === undefined) throw new Error(`sample.ts knows no text that matches ${patterns.join(' and ')}`);
  return found;
};

/** A value of the schema with every field filled in: what a status looks like when everything is known. */
export const sampleOf = (schema: Schema): unknown => {
  if (schema.enum !== undefined) return schema.enum[0];
  switch (schema.type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.properties ?? {}).map(([name, field]) => [name, sampleOf(field)]),
      );
    case 'array':
      return schema.items === undefined ? [] : [sampleOf(schema.items)];
    case 'string':
      return sampleText(schema);
    case 'integer':
    case 'number':
      return Math.min(Math.max(1, schema.minimum ?? 1), schema.maximum ?? 1);
    case 'boolean':
      return true;
    case undefined:
    default:
      throw new Error(`sample.ts cannot make a ${schema.type ?? 'schema without a type'}`);
  }
};

/** Fields of a schema and of everything below it, by their paths as `kubectl explain` takes them. */
export const fieldsOf = (schema: Schema, path = ''): (readonly [path: string, field: Schema])[] => {
  const inner = schema.items ?? schema.additionalProperties;
  if (inner !== undefined) return fieldsOf(inner, path);
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = path === '' ? name : `${path}.${name}`;
    return [[at, field] as const, ...fieldsOf(field, at)];
  });
};
