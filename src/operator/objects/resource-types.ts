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

const core = (kind: string, plural: string, namespaced = true): ResourceType => ({
  group: '',
  version: 'v1',
  kind,
  plural,
  namespaced,
});
export const namespaceType = core('Namespace', 'namespaces', false);
export const secretType = core('Secret', 'secrets');
export const configMapType = core('ConfigMap', 'configmaps');
