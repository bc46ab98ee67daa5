import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CelInput, run } from '@bufbuild/cel';
import * as fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { durationSchema } from '../../src/api/duration.ts';
import { digestSchema, labelNameSchema, modelNameSchema, nameSchema } from '../../src/api/names.ts';
import { sourceSchema, userSourceSchema } from '../../src/api/source.ts';
import { crds, structural } from './crds.ts';
import type { Schema } from './structural.ts';

const root = join(import.meta.dirname, '../..');
const generated = await crds();

type Rule = { readonly rule: string; readonly message: string; readonly messageExpression?: string };
type Node = Schema & {
  readonly type?: string;
  readonly description?: string;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly additionalProperties?: Node;
  readonly 'x-kubernetes-validations'?: readonly Rule[];
};
type Crd = {
  readonly spec: {
    readonly names: {
      readonly kind: string;
      readonly shortNames: readonly string[];
      readonly categories: readonly string[];
    };
    readonly versions: readonly {
      readonly subresources: unknown;
      readonly additionalPrinterColumns: readonly { readonly name: string; readonly jsonPath: string }[];
      readonly schema: { readonly openAPIV3Schema: Node };
    }[];
  };
};

const definitions = [...generated.values()].map((text) => parse(text) as Crd);
const schemaOf = (kind: string): Node => {
  const schema = definitions.find((d) => d.spec.names.kind === kind)?.spec.versions[0]?.schema
    .openAPIV3Schema;
  if (schema === undefined) throw new Error(`no CRD of ${kind}`);
  return schema;
};

const children = (node: Node): (readonly [string, Node])[] => [
  ...Object.entries(node.properties ?? {}),
  ...(node.items === undefined ? [] : ([['[]', node.items]] as const)),
  ...(node.additionalProperties === undefined ? [] : ([['{}', node.additionalProperties]] as const)),
];

/** Every schema below spec and status, with its path. */
const nodes = (node: Node, path: string): (readonly [string, Node])[] => [
  [path, node],
  ...children(node).flatMap(([name, child]) => nodes(child, `${path}.${name}`)),
];
const all = definitions.flatMap(({ spec }) => {
  const schema = schemaOf(spec.names.kind);
  return ['spec', 'status'].flatMap((part) => {
    const node = schema.properties?.[part];
    return node === undefined ? [] : nodes(node, `${spec.names.kind}.${part}`);
  });
});
const breaking = (rule: (node: Node, path: string) => boolean): string[] =>
  all.filter(([path, node]) => !rule(node, path)).map(([path]) => path);

describe('the CustomResourceDefinitions', () => {
  it('are the ones that are checked in', () => {
    const present = readdirSync(join(root, 'crds')).map((name) => `crds/${name}`);
    expect(present.toSorted()).toEqual([...generated.keys()].toSorted());
    for (const [path, text] of generated) expect(readFileSync(join(root, path), 'utf8'), path).toBe(text);
  });
  it('are of less than 48 KB each, as the API server keeps them', () => {
    const sizes = [...generated].map(([path, text]) => ({ path, bytes: JSON.stringify(parse(text)).length }));
    expect(sizes.filter(({ bytes }) => bytes >= 48_000)).toEqual([]);
  });
  it('have short names, the category, and the status subresource where there is a status', () => {
    const shortNames = definitions.map(({ spec }) => spec.names.shortNames[0]);
    expect(shortNames).toEqual(['ad', 'aro', 'art', 'apol', 'adr', 'aan']);
    for (const { spec } of definitions) {
      expect(spec.names.categories).toEqual(['adaptlet']);
      const hasStatus = !['AdapterPolicy', 'AdapterAnalysis'].includes(spec.names.kind);
      expect(schemaOf(spec.names.kind).properties?.['status'] !== undefined).toBe(hasStatus);
      expect(spec.versions[0]?.subresources).toEqual(hasStatus ? { status: {} } : undefined);
    }
  });
  it('have columns that point at fields that exist', () => {
    for (const { spec } of definitions) {
      for (const { jsonPath } of spec.versions[0]?.additionalPrinterColumns ?? []) {
        if (jsonPath.startsWith('.metadata.')) continue;
        let node: Node | undefined = schemaOf(spec.names.kind);
        // Of a filter on a list (`conditions[?(@.type=="Ready")].status`) the field that it looks into.
        const path = jsonPath.slice(1).replaceAll(/\[\?\(.*?\)\]/g, '.[]');
        for (const part of path.split('.')) node = part === '[]' ? node?.items : node?.properties?.[part];
        expect(node, `${spec.names.kind}${jsonPath}`).toBeDefined();
      }
    }
  });
});

describe('structural rules', () => {
  const allowed = new Set(['object', 'array', 'string', 'integer', 'number', 'boolean']);
  const forbidden = [
    'oneOf',
    'anyOf',
    'allOf',
    'not',
    '$ref',
    'definitions',
    'const',
    'uniqueItems',
    'patternProperties',
  ];
  const rules: readonly (readonly [string, (node: Node, path: string) => boolean])[] = [
    ['gives every field a type', (n) => allowed.has(n.type ?? '')],
    [
      'uses no keyword that the API server refuses or that has no place here',
      (n) => forbidden.every((k) => !(k in n)),
    ],
    [
      'never closes an object with additionalProperties, nor mixes it with properties',
      (n) =>
        n.additionalProperties === undefined ||
        (typeof n.additionalProperties === 'object' && n.properties === undefined),
    ],
    ['describes every field', (n, path) => /(\[\]|\{\})$/.test(path) || (n.description ?? '').length > 3],
    [
      'bounds every list',
      (n) => n.type !== 'array' || (n.items !== undefined && typeof n.maxItems === 'number'),
    ],
    [
      'says of every list how it is merged',
      (n) => n.type !== 'array' || typeof n['x-kubernetes-list-type'] === 'string',
    ],
    ['bounds every text', (n) => n.type !== 'string' || 'maxLength' in n || 'enum' in n],
    ['bounds every map', (n) => n.additionalProperties === undefined || typeof n.maxProperties === 'number'],
    [
      'gives every whole number a format that holds its bounds',
      (n) =>
        n.type !== 'integer' ||
        n.format === 'int64' ||
        (n.format === 'int32' && Math.abs(Number(n.maximum)) < 2 ** 31),
    ],
    [
      'has no whole number below zero without saying so',
      (n) => n.type !== 'integer' || typeof n.minimum === 'number',
    ],
    [
      'has keys of map lists that are required texts',
      (n) =>
        n['x-kubernetes-list-type'] !== 'map' ||
        (n['x-kubernetes-list-map-keys'] as string[]).every(
          (key) =>
            n.items?.properties?.[key]?.type === 'string' && (n.items.required as string[]).includes(key),
        ),
    ],
    [
      'has sets of plain values only',
      (n) => n['x-kubernetes-list-type'] !== 'set' || n.items?.type === 'string',
    ],
    [
      'requires only fields that exist',
      (n) => ((n.required as string[] | undefined) ?? []).every((key) => n.properties?.[key] !== undefined),
    ],
    [
      'never requires a field that has a default',
      (n) =>
        ((n.required as string[] | undefined) ?? []).every(
          (key) => !('default' in (n.properties?.[key] ?? {})),
        ),
    ],
    [
      'has patterns that the API server, which is RE2, compiles',
      (n) => n.pattern === undefined || RE2JS.compile(n.pattern) !== undefined,
    ],
    [
      'has no pattern beside a rule: the API server would look at the pattern and not at the rule',
      (n) => n.pattern === undefined || n['x-kubernetes-validations'] === undefined,
    ],
    [
      'has rules with messages',
      (n) =>
        (n['x-kubernetes-validations'] ?? []).every(
          ({ rule, message }) => rule !== '' && message.length > 10,
        ),
    ],
  ];
  it.each(rules)('%s', (_, rule) => {
    expect(breaking(rule)).toEqual([]);
  });
});

/** CEL in the API server escapes its reserved words in field names. */
const asCel = (value: unknown): CelInput => {
  if (Array.isArray(value)) return value.map(asCel);
  if (typeof value === 'number') return BigInt(value);
  if (typeof value !== 'object' || value === null) return value as CelInput;
  return new Map(
    Object.entries(value).map(([key, member]) => [key === 'in' ? '__in__' : key, asCel(member)]),
  );
};

/** Messages of the rules that a value breaks, everywhere in it; transition rules only with an old value. */
const broken = (node: Node, self: unknown, old?: unknown): string[] => {
  const here = (node['x-kubernetes-validations'] ?? [])
    .filter(({ rule }) => old !== undefined || !rule.includes('oldSelf'))
    .filter(({ rule }) => run(rule, { self: asCel(self), oldSelf: asCel(old ?? {}) }) !== true)
    .map(({ message, messageExpression }) => {
      const made = messageExpression === undefined ? message : run(messageExpression, { self: asCel(self) });
      return typeof made === 'string' ? made : `the rule ${messageExpression} makes no text`;
    });
  if (Array.isArray(self)) return [...here, ...self.flatMap((item) => broken(node.items ?? {}, item))];
  if (typeof self !== 'object' || self === null) return here;
  const below = Object.entries(self).flatMap(([key, member]) => broken(node.properties?.[key] ?? {}, member));
  return [...here, ...below];
};

const source = { path: { path: 'a' } };
const digest = `sha256:${'a'.repeat(64)}`;
const adapter = (fields: object) => ({ spec: { baseModel: 'tiny', source, ...fields } });
const oci = (image: string, fields: object = {}) => adapter({ source: { oci: { image } }, ...fields });
const steps = (...list: object[]) => ({ spec: { adapter: 'a', strategy: { canary: { steps: list } } } });
const route = (...rules: object[]) => ({
  spec: { model: 'm', rules: rules.map((rule) => ({ name: 'r', targets: [{ base: true }], ...rule })) },
});
const matching = (match: object) => route({ matches: [match] });

describe('CEL rules', () => {
  it('hold for every example', () => {
    const files = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.yaml'));
    for (const file of files) {
      for (const document of parseAllDocuments(readFileSync(join(root, 'examples', file), 'utf8'))) {
        const object = document.toJS() as { kind: string };
        expect(broken(schemaOf(object.kind), object, object), file).toEqual([]);
      }
    }
  });

  const rows: readonly (readonly [string, string, object, string])[] = [
    [
      'a policy of another name',
      'AdapterPolicy',
      { metadata: { name: 'mine' }, spec: {} },
      'metadata.name must be default',
    ],
    [
      'a source with a scheme',
      'AdapterPolicy',
      { metadata: { name: 'default' }, spec: { sources: { registries: ['https://registry.example'] } } },
      'must not start with a scheme',
    ],
    ['no source', 'Adapter', adapter({ source: {} }), 'must have exactly one of oci, path,'],
    [
      'two sources',
      'Adapter',
      adapter({ source: { ...source, oci: { image: 'r.io/a:v1' } } }),
      'must have exactly one of oci, path,',
    ],
    ['an image without a version', 'Adapter', oci('r.io:5000/a'), 'needs a tag or a digest'],
    [
      'two digests',
      'Adapter',
      oci(`r.io/a@${digest.replace('aa', 'bb')}`, { digest }),
      'must equal the digest',
    ],
    [
      'two strategies',
      'AdapterRollout',
      { spec: { adapter: 'a', strategy: { canary: { steps: [] }, blueGreen: {} } } },
      'must have exactly one of canary, blueGreen',
    ],
    [
      'a switch by itself that a person should make',
      'AdapterRollout',
      { spec: { adapter: 'a', strategy: { blueGreen: { autoPromotion: false, autoPromotionAfter: '5m' } } } },
      'autoPromotionAfter needs autoPromotion: true',
    ],
    [
      'a share of runtimes that is no percentage',
      'AdapterRollout',
      steps({ preload: { successThreshold: '101%' } }),
      'must be a whole percentage from 1% to 100%',
    ],
    ['an empty step', 'AdapterRollout', steps({}), 'must have exactly one of preload, setWeight, pause'],
    [
      'two verbs',
      'AdapterRollout',
      steps({ setWeight: 1, pause: {} }),
      'must have exactly one of preload, setWeight, pause',
    ],
    [
      'two targets in one',
      'AdapterRoute',
      route({ targets: [{ base: true, rollout: 'a' }] }),
      'must have exactly one of rollout, adapter, base',
    ],
    [
      'targets and perUser',
      'AdapterRoute',
      route({ perUser: {} }),
      'must have exactly one of targets, perUser',
    ],
    ['an empty match', 'AdapterRoute', matching({}), 'must have at least one of headers, user, tenant'],
    [
      'a user by list and prefix',
      'AdapterRoute',
      matching({ user: { in: ['a'], prefix: 'b' } }),
      'must have exactly one of in, prefix',
    ],
    ['two rules of one name', 'AdapterRoute', route({}, {}), 'names of rules must be unique'],
  ];
  it.each(rows)('refuse %s', (_, kind, object, message) => {
    expect(broken(schemaOf(kind), object).filter((found) => found.includes(message))).toHaveLength(1);
  });

  it('accept an image with a tag, a digest, or a digest beside it', () => {
    for (const good of [
      oci('r.io:5000/a:v1'),
      oci(`r.io/a@${digest}`),
      oci('r.io/a', { digest }),
      oci(`r.io/a@${digest}`, { digest }),
    ]) {
      expect(broken(schemaOf('Adapter'), good)).toEqual([]);
    }
  });

  const alphabet = ['a', 'B', '1', '.', '..', '-', '_', '/', ':', '@', 's', 'm', 'h', '{user}', '{', ' '];
  const parts = [...alphabet, '8784', 'r.io/', 'localhost', ':5000', '://', 'ms', 'sha256:', 'a'.repeat(64)];
  const written = fc.array(fc.constantFrom(...parts), { maxLength: 7 }).map((list) => list.join(''));
  it.each([
    ['a name', nameSchema],
    ['a label', labelNameSchema],
    ['a model name', modelNameSchema],
    ['a digest', digestSchema],
    ['a duration', durationSchema],
    ['an image', sourceSchema.shape.oci.unwrap().shape.image],
    ['a path', sourceSchema.shape.path.unwrap().shape.path],
    ['an image per user', userSourceSchema.shape.oci.unwrap().shape.image],
    ['a path per user', userSourceSchema.shape.path.unwrap().shape.path],
  ])('say of %s what our parser says of it', (_, schema) => {
    const node = structural(schema);
    fc.assert(
      fc.property(written, (value) => {
        const parsed = schema.safeParse(value);
        const ours = parsed.success ? [] : parsed.error.issues.map(({ message }) => message);
        fc.pre(value.length <= Number(node.maxLength));
        expect(broken(node, value)).toEqual(ours);
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    ['baseModel', { baseModel: 'tiny' }, { baseModel: 'other' }],
    ['baseModelDigests', {}, { baseModelDigests: [digest] }],
    ['baseModelDigests', { baseModelDigests: [digest] }, {}],
    ['source', { source }, { source: { path: { path: 'b' } } }],
    ['digest', {}, { digest }],
    ['digest', { digest }, {}],
  ])('keep spec.%s as it was created', (field, before, after) => {
    const node = schemaOf('Adapter').properties?.spec ?? {};
    const [old, self] = [adapter(before).spec, adapter(after).spec];
    expect(broken(node, self, old).map((message) => message.split(' ')[0])).toEqual([`spec.${field}`]);
    expect(broken(node, self, self)).toEqual([]);
  });
});
