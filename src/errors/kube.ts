import { defineErrors } from './define.ts';

/** Answers of the Kubernetes API server, and what keeps a replica from acting. */
export const kubeErrors = defineErrors({
  KUBE_UNAVAILABLE: {
    summary: 'The Kubernetes API server cannot be reached, is overloaded or broke off.',
    advice: 'It is tried again by itself; check the API server and the network when this repeats.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  KUBE_UNAUTHORIZED: {
    summary: 'The Kubernetes API server does not accept the credentials.',
    advice:
      'Check the kubeconfig, or the ServiceAccount token of the pod; a renewed token is read by itself.',
    grpc: 'UNAUTHENTICATED',
    retry: 'Backoff',
  },
  KUBE_FORBIDDEN: {
    summary: 'The Kubernetes API server does not allow the operation.',
    advice:
      'Grant the verb that the message names; the ClusterRole of the Helm chart has every one that is used.',
    grpc: 'PERMISSION_DENIED',
    retry: 'Backoff',
  },
  KUBE_NOT_FOUND: {
    summary: 'The Kubernetes API server has no such object, or no such kind.',
    advice: 'Check the name and the namespace; where the kind is missing, install the CRDs.',
    grpc: 'NOT_FOUND',
    retry: 'Backoff',
  },
  KUBE_CONFLICT: {
    summary: 'An object changed meanwhile, exists already, or another owner has the field.',
    advice: 'Read it again and decide anew.',
    grpc: 'ABORTED',
    retry: 'Backoff',
  },
  KUBE_GONE: {
    summary: 'The API server no longer has the revision that was asked for.',
    advice: 'List again; the reflector does so by itself.',
    grpc: 'ABORTED',
    retry: 'Backoff',
  },
  KUBE_WENT_BACK: {
    summary:
      'The API server has less than this replica has seen: etcd was restored from a backup, or this is another cluster.',
    advice:
      'The replica has to start again: /livez says so after 30 s, and the kubelet does it. Runtimes keep their plans until `adaptlet trust-cluster` on the node.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  KUBE_INVALID: {
    summary: 'The Kubernetes API server refuses an object or a request.',
    advice: 'Correct the field that the message names.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  NOT_LEADER: {
    summary: 'This replica is not, or no longer, the leader.',
    advice: 'Nothing to do: the leader acts.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
});
