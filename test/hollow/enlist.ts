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

type Creates = <T>(path: string, body: object) => Promise<T>;
const creates =
  (api: KubeApi): Creates =>
  (path, body) =>
    api.request({ method: 'POST', path, body });

type Place = {
  readonly namespace: string;
  readonly pod: string;
  readonly node: string;
  readonly account: string;
};

/** A pod on a node, and the token that it has there as a file. Nothing runs there. */
const place = async (create: Creates, { namespace, pod, node, account: name }: Place, tokenFile: string) => {
  await create(pathOf(pods, namespace), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: pod },
    spec: {
      nodeName: node,
      serviceAccountName: name,
      // As pods of a DaemonSet: a Node without a kubelet would lose it after some minutes.
      tolerations: [{ operator: 'Exists' }],
      containers: [{ name: 'runtime', image: 'none' }],
    },
  });
  const { status } = await create<{ readonly status: { readonly token: string } }>(
    pathOf(serviceAccounts, namespace, name, 'token'),
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
};

export type EnlistOptions = {
  readonly namespace: string;
  readonly names: readonly string[];
  /** Of the files with tokens. */
  readonly folder: string;
};

/**
 * Gives each name a Node, the Pod of the DaemonSet on it, and the token of that pod, as a file of `folder`: the identity
 * that a runtime of a node has.
 */
export const enlist = async (
  api: KubeApi,
  { namespace, names, folder }: EnlistOptions,
): Promise<readonly Enlisted[]> => {
  const create = creates(api);
  const enlisted = names.map((name): Enlisted => {
    return { namespace, name, tokenFile: join(folder, `${name}.token`), serves: 'Node' };
  });
  await inParts(enlisted, async ({ name, tokenFile }) => {
    await create(pathOf(nodes), { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    await place(create, { namespace, pod: `runtime-of-${name}`, node: name, account }, tokenFile);
  });
  return enlisted;
};

/** Gives each name a Pod of the namespace on a Node that is there: the identity of a sidecar. */
export const enlistPods = async (
  api: KubeApi,
  { namespace, names, folder, node }: EnlistOptions & { readonly node: string },
): Promise<readonly Enlisted[]> => {
  const enlisted = names.map((name): Enlisted => {
    return { namespace, name, tokenFile: join(folder, `${name}.token`), serves: 'Pod' };
  });
  await inParts(enlisted, ({ name, tokenFile }) =>
    place(creates(api), { namespace, pod: name, node, account: 'default' }, tokenFile),
  );
  return enlisted;
};
