import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { Authority } from '../identity/authority.ts';
import { type NodeAddress, servingNames } from '../identity/serving-names.ts';
import type { ServingNamesOf } from './serving-answers.ts';

type NodeList = {
  readonly items?: readonly {
    readonly metadata?: { readonly uid?: string };
    readonly status?: { readonly addresses?: readonly NodeAddress[] };
  }[];
};

/** Names of a runtime of a Node, whose addresses are read now: without it there are none, for fewer would take the place of all. */
export const servingNamesOf =
  ({
    api,
    authority,
    runtimeNames = [],
  }: {
    readonly api: Pick<KubeApi, 'request'>;
    readonly authority: Pick<Authority, 'names'>;
    readonly runtimeNames?: readonly string[];
  }): ServingNamesOf =>
  async (runtime) => {
    // A list of one: the operator has the right to list Nodes and no other one.
    const { items = [] } = await api.request<NodeList>({
      method: 'GET',
      path: '/api/v1/nodes',
      query: { fieldSelector: `metadata.name=${runtime.node}` },
    });
    // Another Node may have the name by now.
    const node = items.find(({ metadata }) => metadata?.uid === runtime.ownerUid);
    if (node === undefined)
      throw new AdaptletError('CERTIFICATE_REFUSED', 'its Node is not there, or another one has the name');
    const addresses = node.status?.addresses ?? [];
    return servingNames(runtime, { addresses, more: runtimeNames, operator: authority.names });
  };
