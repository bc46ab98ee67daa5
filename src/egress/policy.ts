import { AdaptletError } from '../errors/adaptlet-error.ts';
import { kindOf, plainAddress } from './address.ts';
import { AllowList } from './allow-list.ts';

export type EgressRules = {
  /** Hosts, addresses and networks. */
  readonly allow: readonly string[];
  /** Addresses and networks that nothing opens. */
  readonly deny: readonly string[];
  /** Addresses of the API server, as `192.0.2.7:443`. Nothing opens them either. */
  readonly apiServer: readonly string[];
  /** Whose setting opens more. Default: the operator's. */
  readonly whose?: 'operator' | 'runtime';
};

const denied = (url: URL, why: string, advice: string): AdaptletError =>
  new AdaptletError('EGRESS_DENIED', `${url.host} ${why}`, { advice });

const askFor = (what: string, whose: 'operator' | 'runtime'): string =>
  `Ask the administrator to add ${what} to the setting egress-allow of the ${whose} (in the chart: ${whose}.egress.allow), or use another host.`;

/**
 * Where requests may lead that tenants cause. In this order: what is denied by name of its network, and the API server; what
 * is allowed by its address; loopback, link-local and the like; private addresses, which a listed host may have. All
 * other addresses are allowed, over TLS; without it the host or its address has to be listed.
 */
export class EgressPolicy {
  readonly #allow: AllowList;
  readonly #deny: AllowList;
  readonly #apiServer: AllowList;
  readonly #whose: 'operator' | 'runtime';

  constructor({ allow, deny, apiServer, whose = 'operator' }: EgressRules) {
    this.#allow = new AllowList(allow);
    this.#deny = new AllowList(deny);
    this.#apiServer = new AllowList(apiServer);
    this.#whose = whose;
  }

  /**
   * Whether a request for the URL may connect to this address.
   * @throws EGRESS_DENIED
   */
  check(url: URL, address: string): void {
    const plain = plainAddress(address);
    const settled = 'Use another host: the administrator has denied this one for good.';
    if (this.#apiServer.hasAddress(url, plain))
      throw denied(url, 'is the API server of the cluster', settled);
    if (this.#deny.hasAddress(url, plain)) throw denied(url, 'is in a network that is denied', settled);
    if (this.#allow.hasAddress(url, plain)) return;
    const isListed = this.lists(url);
    const kind = kindOf(plain);
    if (kind === 'private') {
      if (!isListed) throw this.#denied(url, 'leads to a private address', 'this host');
    } else if (kind !== 'public')
      throw this.#denied(url, `leads to an address that is ${kind}`, 'the address');
    if (url.protocol !== 'https:' && !isListed)
      throw this.#denied(url, 'would be asked without encryption', 'this host');
  }

  /**
   * Whether a request for the URL may be left to a proxy, where nobody here knows its addresses.
   * @throws EGRESS_DENIED
   */
  checkUnknown(url: URL): void {
    if (!this.lists(url)) throw this.#denied(url, 'is a name that is not known here', 'this host');
  }

  /** The administrator vouches for the host by its name. */
  lists(url: URL): boolean {
    return this.#allow.hasHost(url);
  }

  #denied(url: URL, why: string, what: string): AdaptletError {
    return denied(url, why, askFor(what, this.#whose));
  }
}
