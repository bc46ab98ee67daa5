import type { KubeApi } from '../../kube/client/api.ts';
import type { KubeObject } from '../../kube/client/object.ts';

/** Reads the uid of the namespace kube-system, which names a cluster, once. Errors: those of the API server. */
export const clusterUidOf = (api: KubeApi): (() => Promise<string>) => {
  let reading: Promise<string> | undefined;
  return () => {
    reading ??= api
      .request<KubeObject>({ method: 'GET', path: '/api/v1/namespaces/kube-system' })
      .then(({ metadata }) => metadata.uid)
      .catch((error: unknown) => {
        reading = undefined;
        throw error;
      });
    return reading;
  };
};
