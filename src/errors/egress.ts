import { defineErrors } from './define.ts';

/** Requests that tenants cause on operator and nodes. */
export const egressErrors = defineErrors({
  EGRESS_DENIED: {
    summary:
      'A metric or a registry leads to where the administrator does not let the requests of tenants go.',
    advice: 'Use another host, or ask the administrator to list this one.',
    grpc: 'PERMISSION_DENIED',
    // A setting, a policy or DNS may open it: it is no fault of the adapter.
    retry: 'Backoff',
  },
});
