import type { Right } from './facts.ts';

const group = 'adaptlet.io';
const kinds = ['adapters', 'adapterrollouts', 'adapterroutes', 'adapterruntimes'] as const;

const rights = (apiGroup: string, resources: readonly string[], verbs: readonly string[]): Right[] =>
  resources.flatMap((resource) => verbs.map((verb) => ({ verb, group: apiGroup, resource })));

/** Rights to an object of one name in the namespace of the operator, and to create it. */
const owned = (namespace: string, apiGroup: string, resource: string, name: string): Right[] => [
  { verb: 'create', group: apiGroup, resource, namespace },
  ...['get', 'update'].map((verb) => ({ verb, group: apiGroup, resource, name, namespace })),
];

/** What the operator does, as the roles of the chart allow it. */
export const operatorRights = (namespace: string): Right[] => [
  ...rights(group, kinds, ['list', 'watch']),
  ...rights(group, ['adapters'], ['patch']),
  ...rights(group, ['adapterruntimes'], ['create', 'patch']),
  ...rights(
    group,
    kinds.map((kind) => `${kind}/status`),
    ['update'],
  ),
  ...rights(group, ['adapters/status'], ['patch']),
  ...rights('events.k8s.io', ['events'], ['create', 'patch']),
  ...rights('authentication.k8s.io', ['tokenreviews'], ['create']),
  ...rights('', ['namespaces'], ['get']),
  ...rights('', ['nodes'], ['list', 'watch']),
  ...kinds.map((kind) => ({
    verb: 'get',
    group: 'apiextensions.k8s.io',
    resource: 'customresourcedefinitions',
    name: `${kind}.${group}`,
  })),
  ...owned(namespace, 'coordination.k8s.io', 'leases', 'adaptlet-operator'),
  ...owned(namespace, '', 'secrets', 'adaptlet-ca'),
  ...owned(namespace, '', 'configmaps', 'adaptlet-ca'),
];

/** What `kubectl adaptlet` does, in every namespace. */
export const yourRights = (): Right[] => [
  ...rights(group, kinds, ['get', 'list', 'watch']),
  ...rights(group, ['adapterrollouts'], ['patch']),
];

/** `update leases.coordination.k8s.io/adaptlet-operator`. */
export const rightText = ({ verb, group: apiGroup, resource, name }: Right): string =>
  `${verb} ${resource}${apiGroup === '' ? '' : `.${apiGroup}`}${name === undefined ? '' : `/${name}`}`;
