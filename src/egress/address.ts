import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** What an address is, as far as requests of tenants are concerned. */
export type AddressKind =
  | 'loopback'
  | 'link-local'
  | 'multicast'
  | 'unspecified'
  | 'reserved'
  | 'instance metadata'
  | 'private'
  | 'public';

const networks: readonly (readonly [AddressKind, readonly string[]])[] = [
  // Beside link-local: AWS over IPv6, Alibaba Cloud, Oracle Cloud.
  ['instance metadata', ['fd00:ec2::254/128', '100.100.100.200/32', '192.0.0.192/32']],
  ['unspecified', ['0.0.0.0/8', '::/128']],
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['link-local', ['169.254.0.0/16', 'fe80::/10']],
  ['multicast', ['224.0.0.0/4', 'ff00::/8']],
  ['reserved', ['240.0.0.0/4', '192.0.0.0/24', '100::/64', '2001::/32']],
  // RFC 1918, 6598, 2544 and 4193: services, pods, nodes, and the machines beside them.
  [
    'private',
    [
      '10.0.0.0/8',
      '172.16.0.0/12',
      '192.168.0.0/16',
      '100.64.0.0/10',
      '198.18.0.0/15',
      'fc00::/7',
      'fec0::/10',
      // RFC 8215.
      '64:ff9b:1::/48',
    ],
  ],
];

/** The networks of a kind of addresses. */
export const networksOf = (kind: AddressKind): readonly string[] =>
  networks.flatMap(([one, texts]) => (one === kind ? texts : []));

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIPv4(address) ? 'ipv4' : 'ipv6');

/** An address, or a network as `10.0.0.0/8`; undefined: neither. */
export const networkOf = (text: string): BlockList | undefined => {
  const [address = '', prefix, ...more] = text.split('/');
  if (more.length > 0 || !(isIPv4(address) || isIPv6(address))) return undefined;
  const bits = isIPv4(address) ? 32 : 128;
  if (prefix !== undefined && (!/^\d{1,3}$/.test(prefix) || Number(prefix) > bits)) return undefined;
  const list = new BlockList();
  list.addSubnet(address, prefix === undefined ? bits : Number(prefix), familyOf(address));
  return list;
};

/** Whether a network has an address, which is in the form of {@link plainAddress}. */
export const contains = (network: BlockList, address: string): boolean =>
  network.check(address, familyOf(address));

const lists = networks.map(
  ([kind, texts]) => [kind, texts.flatMap((text) => networkOf(text) ?? [])] as const,
);

const groupsIn = (part: string): number[] =>
  part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));

/** The eight groups of an IPv6 address. */
const groupsOf = (address: string): readonly number[] => {
  // Without a zone, and without dots: as a URL writes it.
  const { hostname } = new URL(`http://[${address.replace(/%.*$/, '')}]`);
  const [head = '', tail] = hostname.slice(1, -1).split('::');
  const [before, after] = [groupsIn(head), groupsIn(tail ?? '')];
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
};

const ipv4Of = (high = 0, low = 0): string => [high >> 8, high & 255, low >> 8, low & 255].join('.');

/**
 * The address that packets would go to in the end: the IPv4 address within an IPv6 address that is mapped (::ffff:0:0/96),
 * compatible (::/96), translated (64:ff9b::/96) or 6to4 (2002::/16); else the address itself.
 */
export const plainAddress = (address: string): string => {
  if (isIPv4(address)) return address;
  const groups = groupsOf(address);
  const isZero = (to: number): boolean => groups.slice(0, to).every((group) => group === 0);
  const last = ipv4Of(groups[6], groups[7]);
  if (isZero(5) && groups[5] === 0xffff) return last;
  if (isZero(6) && (groups[6] !== 0 || (groups[7] ?? 0) > 1)) return last;
  if (groups[0] === 0x64 && groups[1] === 0xff9b && groups.slice(2, 6).every((group) => group === 0))
    return last;
  if (groups[0] === 0x2002) return ipv4Of(groups[1], groups[2]);
  return groups.map((group) => group.toString(16)).join(':');
};

/** The kind of an address in the form of {@link plainAddress}. */
export const kindOf = (address: string): AddressKind =>
  lists.find(([, of]) => of.some((network) => contains(network, address)))?.[0] ?? 'public';

/** What one client may choose its address in: the address itself, or of IPv6 the network of 64 bits that has it. */
export const clientNetworkOf = (address: string): string => {
  const plain = plainAddress(address);
  return plain.includes('.') ? plain : plain.split(':').slice(0, 4).join(':');
};
