import { errorCodeOf } from '../../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../../kube/client/api.ts';
import { type ListOptions, listObjects } from '../../../kube/client/list.ts';
import { type KubeObject, pathOf, type ResourceType } from '../../../kube/client/object.ts';
import { ask } from '../asked.ts';
import type { Asked } from '../finding.ts';
import type { Right } from './facts.ts';

/** What the doctor asks an API server: nothing of it changes anything. */
export type Reader = {
  /** Undefined where there is no such object. */
  readonly get: <T>(type: ResourceType, name: string, namespace?: string) => Promise<Asked<T | undefined>>;
  /** `namespace` undefined: of all namespaces. */
  readonly list: <T = KubeObject>(type: ResourceType, where?: ListOptions) => Promise<Asked<readonly T[]>>;
  readonly version: () => Promise<Asked<{ readonly gitVersion: string }>>;
  /** Rights that `user`, or without one whoever asks, does not have. */
  readonly missing: (rights: readonly Right[], user?: string) => Promise<Asked<readonly Right[]>>;
};

export const createReader = (api: KubeApi): Reader => ({
  get: (type, name, namespace) =>
    ask(async () => {
      try {
        return await api.request({ method: 'GET', path: pathOf(type, namespace, name) });
      } catch (error) {
        if (errorCodeOf(error) === 'KUBE_NOT_FOUND') return undefined;
        throw error;
      }
    }, name),
  list: <T>(type: ResourceType, where?: ListOptions) =>
    ask(() => Array.fromAsync(listObjects<T>(api, type, where)), type.plural),
  version: () => ask(() => api.request({ method: 'GET', path: '/version' }), '/version'),
  missing: (rights, user) =>
    ask(async () => {
      const allowed = await Promise.all(rights.map((right) => isAllowed(api, right, user)));
      return rights.filter((_, i) => allowed[i] === false);
    }, 'the access review'),
});

/** An access review is a question: it is posted, and nothing is stored. */
const isAllowed = async (api: KubeApi, right: Right, user: string | undefined): Promise<boolean> => {
  const kind = user === undefined ? 'SelfSubjectAccessReview' : 'SubjectAccessReview';
  const { verb, group, resource: whole, name, namespace } = right;
  const [resource = '', subresource] = whole.split('/');
  const { status } = await api.request<{ readonly status: { readonly allowed: boolean } }>({
    method: 'POST',
    path: `/apis/authorization.k8s.io/v1/${kind.toLowerCase()}s`,
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind,
      spec: {
        ...(user === undefined ? {} : { user }),
        resourceAttributes: { verb, group, resource, subresource, name, namespace },
      },
    },
  });
  return status.allowed;
};
