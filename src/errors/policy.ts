import { defineErrors } from './define.ts';

/** What the AdapterPolicy of a namespace does not allow. */
export const policyErrors = defineErrors({
  SOURCE_NOT_ALLOWED: {
    summary: 'The AdapterPolicy of the namespace does not allow the source of an adapter.',
    advice:
      'Publish the adapter where the policy allows it and create a new Adapter, or ask the administrator to add the source to `spec.sources`.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
  ADAPTERS_LIMIT: {
    summary: 'The namespace has more Adapters than its AdapterPolicy lets count.',
    advice: 'Delete Adapters that are not needed, or ask the administrator to raise `spec.limits.adapters`.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'AfterChange',
  },
  BASE_NOT_ALLOWED: {
    summary: 'The AdapterPolicy of the namespace does not let the base model answer without an adapter.',
    advice: 'Ask for a route, a rollout or an adapter, or ask the administrator to set `spec.base: Allow`.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
  POD_NOT_ALLOWED: {
    summary: 'The AdapterPolicy of the namespace does not let its pods be runtimes.',
    advice:
      'Ask the administrator to set `spec.runtimes.pods: Allow`, or remove the sidecar, or the label adaptlet.io/inject, from the pod.',
    grpc: 'PERMISSION_DENIED',
    retry: 'Backoff',
  },
});
