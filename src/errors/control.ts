import { defineErrors } from './define.ts';

/** Between operators and runtimes. */
export const controlErrors = defineErrors({
  CLUSTER_UNTRUSTED: {
    summary: 'An operator of another cluster than the one that this runtime follows answered.',
    advice: 'If the cluster was replaced on purpose, run `adaptlet trust-cluster` on the node.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
  AUTHORITY_INVALID: {
    summary: 'The Secret with the certificate authority of the operator cannot be used.',
    advice:
      'Restore the Secret, or delete it: a new authority is made, and runtimes reconnect once they have read it.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  RUNTIME_UNAUTHENTICATED: {
    summary: 'A runtime connects without a token that the API server accepts.',
    advice:
      'Mount a projected ServiceAccount token with the audience adaptlet, and send it as a Bearer token.',
    grpc: 'UNAUTHENTICATED',
    retry: 'Backoff',
  },
  PEER_IDENTITY: {
    summary: 'The token or the certificate does not belong to the runtime or replica that connects.',
    advice:
      'Check the name and the namespace that the runtime is given, and runtimeAccounts of the operator.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
  HELLO_INVALID: {
    summary: 'A runtime or a replica sends what the control protocol does not allow.',
    advice: 'Run versions of Adaptlet that belong together; the message says what was wrong.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  CONNECTION_REPLACED: {
    summary: 'A newer connection of the same runtime took over.',
    advice: 'Nothing to do, unless it repeats: then two runtimes share one identity or one state folder.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  REPLICA_UNAVAILABLE: {
    summary: 'This replica of the operator cannot serve the runtime now.',
    advice: 'The runtime goes on with what it holds and dials again by itself.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  REPLICA_BEHIND: {
    summary: 'This replica of the operator has not seen what the runtime has already seen.',
    advice:
      'It passes by itself, unless the cluster was restored from a backup: then run `adaptlet trust-cluster` on the node.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
});
