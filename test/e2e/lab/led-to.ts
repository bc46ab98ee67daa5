import { waitFor } from '../../support/wait.ts';
import { patience, type Site, systemNamespace } from './site.ts';

const runtimes = 'adaptlet-runtime';

type Slices = {
  readonly items: readonly {
    readonly endpoints?: readonly {
      readonly nodeName?: string;
      readonly conditions: { readonly ready?: boolean };
    }[];
  }[];
};
type Service = { readonly spec: Readonly<Record<string, unknown>> };

/**
 * Waits until new connections on a node that was away are led to its runtime again, for good. Its proxy hears late that Kubernetes
 * counted the node as gone, and may do so after the node is back: of a Service made after that it hears behind all before.
 */
export const ledToAgain = async (site: Site, index: number): Promise<void> => {
  const node = site.lab.node(index);
  const ask = ['-n', systemNamespace, 'get', '-o', 'json'];
  await waitFor(
    `an endpoint on ${node.name}`,
    async () => {
      const selector = `kubernetes.io/service-name=${runtimes}`;
      const list = await site.lab.kubectlOk([...ask, 'endpointslices', '-l', selector]);
      const endpoints = (JSON.parse(list) as Slices).items.flatMap((slice) => slice.endpoints ?? []);
      return endpoints.some(
        ({ nodeName, conditions }) => nodeName === node.name && conditions.ready === true,
      );
    },
    patience,
  );
  const { spec } = JSON.parse(await site.lab.kubectlOk([...ask, 'service', runtimes])) as Service;
  const { selector, ports, internalTrafficPolicy } = spec;
  const metadata = { name: `led-to-${node.name}`, namespace: systemNamespace };
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { selector, ports, internalTrafficPolicy },
  };
  await site.lab.kubectlOk(['create', '-f', '-'], JSON.stringify(service));
  const host = await site.service(node, 'http', metadata.name);
  await waitFor('new connections', async () => (await fetch(`http://${host}/livez`)).ok, patience);
  await site.lab.kubectlOk(['-n', systemNamespace, 'delete', 'service', metadata.name]);
};
