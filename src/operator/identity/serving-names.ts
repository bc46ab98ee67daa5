import { isIP, SocketAddress } from 'node:net';
import type { BoundRuntime } from './binding.ts';

/** Of the status of a Node. */
export type NodeAddress = { readonly type?: string; readonly address?: string };

export type ServingNamesOptions = {
  /** Of its Node: what the kubelet and the cloud say. */
  readonly addresses: readonly NodeAddress[];
  /** Of an administrator, for the runtimes of all Nodes. */
  readonly more: readonly string[];
  /** Of the operator: who has a certificate for these is believed to be it. */
  readonly operator: readonly string[];
};

/** Most names of one certificate. */
const mostNames = 64;

const label = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?';
const dnsName = new RegExp(`^(?=.{1,253}$)${label}(?:\\.${label})*$`);

/** As certificates have it: in lower case, addresses in one form; undefined: it is neither a DNS name nor an IP address, or means any machine. */
export const certifiedName = (text: string): string | undefined => {
  const name = text.toLowerCase();
  if (isIP(name) !== 0) {
    if (name.includes('%')) return undefined;
    const { address } = new SocketAddress({ address: name, family: isIP(name) === 6 ? 'ipv6' : 'ipv4' });
    return address.startsWith('127.') || address === '::1' ? undefined : address;
  }
  return name !== 'localhost' && !name.endsWith('.localhost') && dnsName.test(name) ? name : undefined;
};

/**
 * The names by which clients may know the request ports of a runtime of a Node: those of the Service that is called as its ServiceAccount,
 * of its Node, and what an administrator gave. It has no say in them. An address of its pod is none: another pod has it soon.
 */
export const servingNames = (
  { account, namespace, node }: Pick<BoundRuntime, 'account' | 'namespace' | 'node'>,
  { addresses, more, operator }: ServingNamesOptions,
): readonly string[] => {
  const service = `${account}.${namespace}`;
  const services = [`${service}.svc`, `${service}.svc.cluster.local`, service];
  const all = [...services, ...more, node, ...addresses.map(({ address = '' }) => address)];
  const taken = new Set(operator.map(certifiedName));
  const names = new Set<string>();
  for (const one of all) {
    const name = certifiedName(one);
    if (name !== undefined && !taken.has(name)) names.add(name);
  }
  return [...names].slice(0, mostNames);
};
