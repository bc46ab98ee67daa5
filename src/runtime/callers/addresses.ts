import { isIP } from 'node:net';
import { contains, networkOf } from '../../egress/address.ts';

/** An IPv4 address that came over an IPv6 socket. */
const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * The address of a peer without its zone, and IPv4 as IPv4. Other IPv6 addresses that hold an IPv4 address stay what they are:
 * whoever has one is not in the network of that.
 */
const peerAddress = (address: string): string => {
  const [bare = ''] = address.split('%');
  return mapped.exec(bare)?.[1] ?? bare;
};

/**
 * Which addresses are in one of the networks.
 * @param texts CIDRs, or single addresses
 * @throws RangeError that names the one that is none
 */
export const withinOf = (texts: readonly string[]): ((address: string | undefined) => boolean) => {
  const networks = texts.map((text) => {
    const network = networkOf(text);
    if (network === undefined) throw new RangeError(`${text} is not a network such as 10.0.0.0/8`);
    return network;
  });
  return (address) => {
    if (address === undefined || networks.length === 0) return false;
    const peer = peerAddress(address);
    return isIP(peer) !== 0 && networks.some((network) => contains(network, peer));
  };
};
