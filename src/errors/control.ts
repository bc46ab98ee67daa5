import { defineErrors } from './define.ts';

/** Between operators and runtimes. */
export const controlErrors = defineErrors({
  CLUSTER_UNTRUSTED: {
    summary: 'An operator of another cluster than the one that this runtime follows answered.',
    advice: 'If the cluster was replaced on purpose, run `adaptlet trust-cluster` on the node.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
});
