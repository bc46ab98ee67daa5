import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KubeApi } from '../../src/kube/client/api.ts';
import { pathOf, type ResourceType } from '../../src/kube/client/object.ts';
import { inParts } from '../support/in-parts.ts';
import type { Enlisted } from './orders.ts';

const core = (kind: string, plural: string, namespaced: boolean): ResourceType => ({
  group: '',
  version: 'v1',
  kind,
  plural,
  namespaced,
});
const nodes = core('Node', 'nodes', false);
const pods = core('Pod', 'pods', true);
const serviceAccounts = core('ServiceAccount', 'serviceaccounts', true);

const account = 'adaptlet-runtime';
/** Longer than any bench. */
const tokenSeconds = 6 * 3600;

/**
 * Gives each name a Node, the Pod of the DaemonSet on it, and the token of that pod, as a file of `folder`: the identity
 * that a runtime of a node has. Nothing runs there.
 */
export const enlist = async (
  api: KubeApi,
  {
    namespace,
    names,
    folder,
  }: { readonly namespace: string; readonly names: readonly string[]; readonly folder: string },
): Promise<readonly Enlisted[]> => {
  const create = <T>(path: string, body: object): Promise<T> =>
    api.request<T>({ method: 'POST', path, body });
  const enlisted = names.map((name) => ({ namespace, name, tokenFile: join(folder, `${name}.token`) }));
  await inParts(enlisted, async ({ name, tokenFile }) => {
    const pod = `runtime-of-${name}`;
    await create(pathOf(nodes), { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    await create(pathOf(pods, namespace), {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: pod },
      spec: {
        nodeName: name,
        serviceAccountName: account,
        // As pods of a DaemonSet: a Node without a kubelet would lose it after some minutes.
        tolerations: [{ operator: 'Exists' }],
        containers: [{ name: 'runtime', image: 'none' }],
      },
    });
    const { status } = await create<{ readonly status: { readonly token: string } }>(
      pathOf(serviceAccounts, namespace, account, 'token'),
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          audiences: ['adaptlet'],
          expirationSeconds: tokenSeconds,
          boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: pod },
        },
      },
    );
    await writeFile(tokenFile, status.token, { mode: 0o600 });
  });
  return enlisted;
};
