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
/** Most names of an administrator: those of a Node have a place as well. */
export const mostRuntimeNames = 32;

const label = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?';
const dnsName = new RegExp(`^(?=.{1,253}$)${label}(?:\\.${label})*$`);

/** An IPv4 address as IPv6 has it: clients may take both for one machine. */
const mapped = '::ffff:';
/** Of this machine alone, or of none. */
const isNowhere = (address: string): boolean => /^(?:127\.|0\.|::1?$)/.test(address);

/** In lower case, addresses in one form. */
const oneForm = (text: string): string => {
  const name = text.toLowerCase();
  if (isIP(name) === 0 || name.includes('%')) return name;
  return new SocketAddress({ address: name, family: isIP(name) === 6 ? 'ipv6' : 'ipv4' }).address;
};

/** As certificates have it: in one form; undefined: it is neither a DNS name nor an IP address, is one by another name, or means any machine. */
export const certifiedName = (text: string): string | undefined => {
  const name = oneForm(text);
  if (isIP(name) !== 0)
    return name.includes('%') || name.startsWith(mapped) || isNowhere(name) ? undefined : name;
  return name !== 'localhost' && !name.endsWith('.localhost') && dnsName.test(name) ? name : undefined;
};

/** Whether somebody with a certificate for a name is believed to be the operator, which has these; `*.` stands for all below. */
export const isAmong = (operator: readonly string[]): ((name: string) => boolean) => {
  const forms = operator
    .map(oneForm)
    .map((name) => (name.startsWith(mapped) ? name.slice(mapped.length) : name));
  const exact = new Set(forms);
  const below = forms.filter((name) => name.startsWith('*.')).map((name) => name.slice(1));
  return (given) => {
    const name = oneForm(given);
    return exact.has(name) || below.some((end) => name.endsWith(end));
  };
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
  const isTaken = isAmong(operator);
  const names = new Set<string>();
  for (const one of all) {
    const name = certifiedName(one);
    if (name !== undefined && !isTaken(name)) names.add(name);
  }
  return [...names].slice(0, mostNames);
};
