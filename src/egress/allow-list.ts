import type { BlockList } from 'node:net';
import { contains, networkOf } from './address.ts';
import { isAllowed, isHostPattern, portOf } from './host-pattern.ts';

/** `192.0.2.7:5000` and `[fd00::7]:5000`. */
const withPort = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?$/i;

type Network = { readonly network: BlockList; readonly port: string | undefined };

const networkWithPort = (text: string): Network | undefined => {
  const plain = networkOf(text);
  if (plain !== undefined) return { network: plain, port: undefined };
  const [, v6, v4, port] = withPort.exec(text) ?? [];
  const network = networkOf(v6 ?? v4 ?? '');
  return network && { network, port };
};

/** True for a host as `host`, `host:port` or `*.domain`, an address with or without a port, and a network. */
export const isEgressEntry = (text: string): boolean =>
  networkWithPort(text) !== undefined || isHostPattern(text);

/** True for an address or a network. */
export const isNetwork = (text: string): boolean => networkOf(text) !== undefined;

/** Where requests may, or may not, lead: names that the administrator vouches for, and addresses. */
export class AllowList {
  readonly #hosts: readonly string[];
  readonly #networks: readonly Network[];

  constructor(entries: readonly string[]) {
    this.#networks = entries.flatMap((entry) => networkWithPort(entry) ?? []);
    this.#hosts = entries.filter((entry) => networkWithPort(entry) === undefined);
  }

  hasHost(url: URL): boolean {
    return this.#hosts.length > 0 && isAllowed(url, this.#hosts);
  }

  /** `address` in the form of `plainAddress`. */
  hasAddress(url: URL, address: string): boolean {
    return this.#networks.some(
      ({ network, port }) => contains(network, address) && (port === undefined || port === portOf(url)),
    );
  }
}
