import { type Leaf, makeCertificates, writeKubeconfig } from '../certificates.ts';
import { apiServerUrl, fabricAddress, nodeAddress, nodeName } from './addresses.ts';

const nodeNames = (nodes: number): string[] => Array.from({ length: nodes }, (_, i) => nodeName(i + 1));

const leaves = (nodes: number): Leaf[] => [
  { name: 'kube-proxy', subject: '/CN=system:kube-proxy' },
  { name: 'registry', subject: '/CN=registry', san: `IP:${fabricAddress},IP:127.0.0.1,DNS:localhost` },
  ...nodeNames(nodes).map((name, i) => ({
    name,
    subject: `/O=system:nodes/CN=system:node:${name}`,
    san: `DNS:${name},IP:${nodeAddress(i + 1)}`,
  })),
];

/** The certificates of a lab: those of every cluster, of its nodes, and of its registry. */
export const makeLabCertificates = (pki: string, nodes: number): Promise<void> =>
  makeCertificates(pki, leaves(nodes));

/** A kubeconfig for each who is in the fabric, and `admin.kubeconfig` for this process, which has its own way there. */
export const writeLabKubeconfigs = async (pki: string, nodes: number, server: string): Promise<void> => {
  const inside = ['controller-manager', 'scheduler', 'kube-proxy', ...nodeNames(nodes)];
  for (const name of inside) await writeKubeconfig(pki, name, apiServerUrl);
  await writeKubeconfig(pki, 'admin', server);
};
