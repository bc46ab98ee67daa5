import { conditionReasons, conditionTypes, eventReasons } from '../../src/rollout/reasons.ts';
import { type Crd, definitions, structural } from './crds.ts';
import type { Schema } from './structural.ts';
import { code, table } from './table.ts';

/** The part of a structural schema that the reference tells. */
type Node = {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
  readonly additionalProperties?: Node;
  readonly 'x-kubernetes-validations'?: readonly { readonly message: string }[];
};

const most = (limit: number | undefined): string => (limit === undefined ? '' : ` ≤ ${limit}`);

const range = ({ minimum, maximum }: Node): string => {
  if (minimum === undefined && maximum === undefined) return '';
  if (maximum === undefined) return ` from ${minimum}`;
  return minimum === undefined ? ` up to ${maximum}` : ` ${minimum} to ${maximum}`;
};

const typeOf = (node: Node): string => {
  if (node.enum !== undefined) return node.enum.map(String).join(', ');
  if (node.items !== undefined) return `list${most(node.maxItems)} of ${typeOf(node.items)}`;
  if (node.additionalProperties !== undefined) {
    return `map${most(node.maxProperties)} of ${typeOf(node.additionalProperties)}`;
  }
  if (node.type === 'string') return `string${most(node.maxLength)}`;
  return `${node.type ?? 'any'}${range(node)}`;
};

/** Defaults of objects follow from those of their fields. */
const defaultOf = (node: Node, required: boolean): string => {
  if (required) return 'required';
  if (node.default === undefined || typeof node.default === 'object') return '';
  return code(JSON.stringify(node.default));
};

const rowsOf = (node: Node, path: string): readonly (readonly string[])[] => {
  if (node.items !== undefined) return rowsOf(node.items, `${path}[]`);
  return Object.entries(node.properties ?? {}).flatMap(([name, field]) => {
    const at = `${path}.${name}`;
    const required = node.required?.includes(name) === true;
    const row = [code(at), typeOf(field), defaultOf(field, required), field.description ?? ''];
    return [row, ...rowsOf(field, at)];
  });
};

const rulesOf = (node: Node): readonly string[] => [
  ...(node['x-kubernetes-validations'] ?? []).map((rule) => rule.message),
  ...Object.values(node.properties ?? {}).flatMap(rulesOf),
  ...(node.items === undefined ? [] : rulesOf(node.items)),
];

const section = ({ kind, plural, shortName, description, spec, status }: Crd): readonly string[] => {
  const specNode = structural(spec) as Schema & Node;
  const statusNode = status === undefined ? undefined : (structural(status) as Schema & Node);
  const rules = [...new Set([specNode, ...(statusNode === undefined ? [] : [statusNode])].flatMap(rulesOf))];
  return [
    `## ${kind}`,
    '',
    `${description} \`kubectl get ${plural}\`, or \`${shortName}\`.`,
    '',
    ...table(
      ['field', 'type', 'default', 'what'],
      [...rowsOf(specNode, 'spec'), ...(statusNode === undefined ? [] : rowsOf(statusNode, 'status'))],
    ),
    '',
    ...(rules.length === 0 ? [] : ['Checked, with these messages:', '', ...rules.map((r) => `- ${r}`), '']),
  ];
};

const words = (title: string, entries: Readonly<Record<string, string>>): readonly string[] => [
  `### ${title}`,
  '',
  ...table(
    ['name', 'what it means'],
    Object.entries(entries).map(([name, meaning]) => [code(name), meaning]),
  ),
  '',
];

/** docs/reference/api.md: every field of every kind, and the reasons that a rollout gives. */
export const apiReference = async (): Promise<Map<string, string>> => {
  const text = [
    '# API `adaptlet.io/v1alpha1`',
    '',
    'Every field of every kind. `metadata` has `name`, `namespace`, `labels` and `annotations`. A field that is not',
    'here is refused by its name. `string ≤ 128` has at most 128 characters, `list ≤ 16` at most 16 items. Generated from',
    'src/api; `adaptlet lint FILE` checks a file offline.',
    '',
    ...definitions.flatMap(section),
    '## What an AdapterRollout reports',
    '',
    ...words('Conditions', conditionTypes),
    ...words('Reasons of conditions', conditionReasons),
    ...words('Reasons of events', eventReasons),
  ].join('\n');
  return new Map([['docs/reference/api.md', text]]);
};
