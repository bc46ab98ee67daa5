import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../../kube/client/api.ts';
import { leaseName } from '../../../operator/lease.ts';

/**
 * Name of the pod that leads.
 * @throws KUBE_* ; NOT_LEADER where none does
 */
export const leadingPod = async (api: KubeApi, namespace: string): Promise<string> => {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${leaseName}`;
  const { spec } = await api.request<{ readonly spec?: { readonly holderIdentity?: string } }>({
    method: 'GET',
    path,
  });
  // The name of the pod, and of a life of it.
  const pod = (spec?.holderIdentity ?? '').replace(/_[^_]*$/, '');
  if (/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(pod)) return pod;
  throw new AdaptletError('NOT_LEADER', `no replica of the operator leads in the namespace ${namespace}`, {
    advice: 'Look at it by `kubectl adaptlet doctor`.',
  });
};
