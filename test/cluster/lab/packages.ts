import { debianRoot } from '../../tools/debian-root.ts';

/**
 * What the nodes of a lab have on top of this machine: the container runtime, network plugins, the firewall programs of
 * kube-proxy and of the `portmap` plugin, a clock that can be wrong, and the libraries of these that a small machine lacks.
 */
const packages = [
  'containerd',
  'runc',
  'containernetworking-plugins',
  'nftables',
  'iptables',
  'libfaketime',
  'libseccomp2',
  'libnftables1',
  'libnftnl11',
  'libxtables12',
  'libip4tc2',
  'libip6tc2',
  'libnetfilter-conntrack3',
  'libnfnetlink0',
  'libmnl0',
  'libjansson4',
  'libedit2',
  'libbsd0',
  'libmd0',
  'libgmp10',
] as const;

let root: Promise<string> | undefined;

/** A folder whose `usr` the nodes lay over that of this machine. */
export const nodePackages = (): Promise<string> => {
  root ??= debianRoot(packages);
  return root;
};
