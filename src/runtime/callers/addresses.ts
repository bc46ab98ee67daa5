import { BlockList, isIP, isIPv4 } from 'node:net';

/** An IPv4 address that came over an IPv6 socket. */
const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** The address as people write it: without a zone, and IPv4 as IPv4. */
export const plainAddress = (address: string): string => {
  const [bare = ''] = address.split('%');
  return mapped.exec(bare)?.[1] ?? bare;
};

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIPv4(address) ? 'ipv4' : 'ipv6');

/**
 * Which addresses are in one of the networks.
 * @param networks CIDRs, or single addresses
 * @throws RangeError that names the one that is none
 */
export const withinOf = (networks: readonly string[]): ((address: string | undefined) => boolean) => {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits, ...more] = network.split('/');
    const family = familyOf(address);
    const longest = family === 'ipv4' ? 32 : 128;
    const length = bits === undefined ? longest : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
    if (isIP(address) === 0 || more.length > 0 || !(length <= longest)) {
      throw new RangeError(`${network} is not a network such as 10.0.0.0/8`);
    }
    list.addSubnet(address, length, family);
  }
  return (address) => {
    if (address === undefined) return false;
    const plain = plainAddress(address);
    return isIP(plain) !== 0 && list.check(plain, familyOf(plain));
  };
};
