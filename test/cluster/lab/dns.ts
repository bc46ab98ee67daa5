import { dnsAddress, fabricAddress } from './addresses.ts';

/** Where CoreDNS says that it is ready. */
export const dnsReadyPort = 8181;

export const corefile = (kubeconfig: string): string => `.:53 {
  bind ${fabricAddress}
  errors
  ready ${fabricAddress}:${dnsReadyPort}
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${kubeconfig}
    ttl 5
  }
  cache 5
  loadbalance
}
`;

const ports = ['UDP', 'TCP'].map((protocol) => ({
  name: `dns-${protocol.toLowerCase()}`,
  port: 53,
  protocol,
}));

/** CoreDNS is no pod here: its Service leads to the fabric. */
export const dnsObjects = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'kube-dns', namespace: 'kube-system' },
      spec: { clusterIP: dnsAddress, ports },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: 'kube-dns-fabric',
        namespace: 'kube-system',
        labels: { 'kubernetes.io/service-name': 'kube-dns' },
      },
      addressType: 'IPv4',
      ports,
      endpoints: [{ addresses: [fabricAddress], conditions: { ready: true } }],
    },
  ],
};
