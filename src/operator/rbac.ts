import { viewKinds } from '../dashboard/views.ts';
import { deviceAuthorityName } from './devices/authority.ts';
import { rewriteType } from './gateway/rewrites.ts';
import { secretName as authorityName } from './identity/authority-state.ts';
import { webhookName, webhookType } from './injection/webhook-configuration.ts';
import { leaseName } from './lease.ts';
import { sessionSecretName } from './session-secret.ts';

/** A rule of a Role or a ClusterRole. */
export type Rule = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
};

/** One verb on one resource. `group` '' is the core group; without `name` it is any name. */
export type Right = {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly name?: string;
};

/** What rules grant, one by one. */
export const rightsOf = (rules: readonly Rule[]): Right[] =>
  rules.flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.flatMap((verb) => {
          const right = { verb, group, resource };
          return resourceNames?.map((name) => ({ ...right, name })) ?? [right];
        }),
      ),
    ),
  );

const group = 'adaptlet.io';
const reported = ['adapters', 'adapterrollouts', 'adapterroutes', 'adapterruntimes'] as const;
/** Of the others nobody writes a status. */
const kinds = [...reported, 'adapteranalyses', 'adapterpolicies'] as const;
/** A policy is written by those who may do anything: it binds those who may edit a namespace. */
const written = kinds.filter((kind) => kind !== 'adapterruntimes' && kind !== 'adapterpolicies');

/** What the operator may do in every namespace. */
export const operatorClusterRules: readonly Rule[] = [
  { apiGroups: [group], resources: kinds, verbs: ['list', 'watch'] },
  // The finalizer that keeps an Adapter while a rollout needs it.
  { apiGroups: [group], resources: ['adapters'], verbs: ['patch'] },
  // Server-side apply of an object that is not there needs both.
  { apiGroups: [group], resources: ['adapterruntimes'], verbs: ['create', 'patch'] },
  { apiGroups: [group], resources: reported.map((kind) => `${kind}/status`), verbs: ['update'] },
  // Of an Adapter that is not valid only the conditions are written, and its digest stays.
  { apiGroups: [group], resources: ['adapters/status'], verbs: ['patch'] },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
  { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
  // Whether who looks at the dashboard may list what it shows.
  { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
  // Their labels, and who is cordoned, by metadata alone; addresses for the certificates of request ports.
  { apiGroups: [''], resources: ['nodes'], verbs: ['list', 'watch'] },
  // The uid of kube-system names the cluster; a namespace that terminates lets its adapters go.
  { apiGroups: [''], resources: ['namespaces'], verbs: ['get'] },
  {
    apiGroups: ['apiextensions.k8s.io'],
    resources: ['customresourcedefinitions'],
    // Those whose objects are resources of plans, and runtimes.
    resourceNames: [...reported, 'adapterpolicies'].map((kind) => `${kind}.${group}`),
    verbs: ['get'],
  },
];

/** `create` cannot be bound to a name: the API server does not know the name yet when it decides. */
const owned = (apiGroup: string, resource: string, name: string): readonly Rule[] => [
  { apiGroups: [apiGroup], resources: [resource], verbs: ['create'] },
  { apiGroups: [apiGroup], resources: [resource], resourceNames: [name], verbs: ['get', 'update'] },
];

/** What the operator may do in its own namespace. */
export const operatorNamespaceRules: readonly Rule[] = [
  ...owned('coordination.k8s.io', 'leases', leaseName),
  ...owned('', 'secrets', authorityName),
  ...owned('', 'configmaps', authorityName),
  // Made once, with the right to create Secrets that the authority needs.
  { apiGroups: [''], resources: ['secrets'], resourceNames: [sessionSecretName], verbs: ['get'] },
];

/**
 * What it may do in each namespace that the administrator lists for credentials: of metrics and registries, which are read one by
 * one, and keys of callers, which are watched. No right can choose by a label.
 */
export const operatorCredentialRules: readonly Rule[] = [
  { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch'] },
];

/** What it may do besides where it injects sidecars: tell those who verify it of its certificate authority. */
export const operatorInjectionRules: readonly Rule[] = [
  // The list is of one name: the API server binds it to that by the field selector.
  { apiGroups: [''], resources: ['configmaps'], verbs: ['create'] },
  {
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: [authorityName],
    verbs: ['get', 'list', 'update'],
  },
  {
    apiGroups: [webhookType.group],
    resources: [webhookType.plural],
    resourceNames: [webhookName],
    verbs: ['get', 'update'],
  },
];

/** What it may do besides in its namespace where it serves devices outside of the cluster. */
export const operatorDeviceRules: readonly Rule[] = [
  { apiGroups: [''], resources: ['secrets'], resourceNames: [deviceAuthorityName], verbs: ['get'] },
  {
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: [deviceAuthorityName],
    verbs: ['get', 'update'],
  },
];

/**
 * What it may do in the namespace where gateways are told of names. Nothing can be bound to a name: there are as many as there are base
 * models and rollouts.
 */
export const operatorGatewayRules: readonly Rule[] = [
  { apiGroups: [''], resources: ['configmaps'], verbs: ['list', 'create', 'patch', 'delete'] },
  {
    apiGroups: [rewriteType.group],
    resources: [rewriteType.plural],
    verbs: ['list', 'create', 'patch', 'delete'],
  },
];

/** What the Job before an uninstall may do in every namespace: take a finalizer off. */
export const releaseClusterRules: readonly Rule[] = [
  { apiGroups: [group], resources: ['adapters'], verbs: ['list', 'patch'] },
];

/** What it may do in the namespace of the operator: stop it, and lead in its place. */
export const releaseNamespaceRules: readonly Rule[] = [
  {
    apiGroups: ['apps'],
    resources: ['deployments/scale'],
    resourceNames: ['adaptlet-operator'],
    verbs: ['patch'],
  },
  ...owned('coordination.k8s.io', 'leases', leaseName),
];

/** What those who may view a namespace may do with our kinds. */
export const viewRules: readonly Rule[] = [
  { apiGroups: [group], resources: kinds, verbs: ['get', 'list', 'watch'] },
];

/** What the dashboard shows. */
export const dashboardRules: readonly Rule[] = [
  { apiGroups: [group], resources: viewKinds, verbs: ['list'] },
];

/** What those who may edit a namespace may do with our kinds. The operator makes AdapterRuntimes, and who enrols devices. */
export const editRules: readonly Rule[] = [
  {
    apiGroups: [group],
    resources: written,
    verbs: ['create', 'delete', 'deletecollection', 'patch', 'update'],
  },
  { apiGroups: [group], resources: ['adapterruntimes'], verbs: ['patch', 'update'] },
];
