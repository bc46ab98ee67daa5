import type { ResourceType } from '../../kube/client/object.ts';

const ours = (kind: string, plural: string): ResourceType => ({
  group: 'adaptlet.io',
  version: 'v1alpha1',
  kind,
  plural,
  namespaced: true,
});

/** Our kinds as the REST API knows them. */
export const adapterType = ours('Adapter', 'adapters');
export const rolloutType = ours('AdapterRollout', 'adapterrollouts');
export const routeType = ours('AdapterRoute', 'adapterroutes');
export const analysisType = ours('AdapterAnalysis', 'adapteranalyses');
export const policyType = ours('AdapterPolicy', 'adapterpolicies');
export const runtimeType = ours('AdapterRuntime', 'adapterruntimes');

export const namespaceType: ResourceType = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  namespaced: false,
};

export const secretType: ResourceType = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
};
