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
      'Restore the Secret. `adaptlet-ca` may be deleted instead: a new authority is made, and runtimes reconnect once they have read it. Of `adaptlet-devices` the message says more.',
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
  PEERS_UNKNOWN: {
    summary: 'A runtime is told of no others of its site: its artifacts come from their sources.',
    advice:
      'Nothing to do for adapters, which come from their registry. Check that its Node has the label of `peers.siteLabel`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  CERTIFICATE_REFUSED: {
    summary:
      'A runtime gets no certificate of its operator for its request ports, and goes on with the one that it has.',
    advice:
      'The message says why. Runtimes of Nodes of the cluster get one, of an operator that is not older than they are; others name files with --tls-cert and --tls-key.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
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
  ENROLMENT_TOKEN_UNKNOWN: {
    summary: 'A device shows an enrolment token that this cluster does not have.',
    advice: 'Make a token by `kubectl adaptlet enrol NAME`, and give the device the whole line.',
    grpc: 'UNAUTHENTICATED',
    retry: 'Backoff',
  },
  ENROLMENT_TOKEN_EXPIRED: {
    summary: 'The enrolment token of a device is over.',
    advice: 'Make another one by `kubectl adaptlet enrol NAME --replace`.',
    grpc: 'UNAUTHENTICATED',
    retry: 'AfterChange',
  },
  ENROLMENT_TOKEN_USED: {
    summary: 'An enrolment token was used before, by another key.',
    advice:
      'If that was not your device, revoke it: `kubectl adaptlet revoke NAME`. Then make another token by `kubectl adaptlet enrol NAME --replace`.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
  ENROLMENT_INVALID: {
    summary:
      'What a device asks for does not prove that it has the key, or is not a key or certificate of its kind.',
    advice:
      'Run a version of Adaptlet on the device that belongs to the operator; the message says what was wrong.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  ENROLMENT_BUSY: {
    summary: 'Too many wrong tokens come to this replica.',
    advice:
      'Nothing to do on the device: it asks again by itself. Devices with a right token are not held up.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  DEVICE_REVOKED: {
    summary: 'The enrolment of a device was revoked, replaced or deleted.',
    advice:
      'The device serves what it has, and gets nothing new. To let it in again: `kubectl adaptlet enrol NAME --replace`, and the token to the device.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
  DEVICE_EXPIRED: {
    summary: 'The certificate of a device was over for too long to be renewed.',
    advice: 'Enrol it anew: `kubectl adaptlet enrol NAME --replace`, and the token to the device.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
});
