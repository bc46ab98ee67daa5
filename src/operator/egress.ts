import { lookup as dnsLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { plainAddress } from '../egress/address.ts';
import { apiServerOfPod, type PodEnvironment, withPort } from '../egress/api-server.ts';
import { createGuardedFetch, type Lookup } from '../egress/guarded-fetch.ts';
import { portOf } from '../egress/host-pattern.ts';
import { EgressPolicy } from '../egress/policy.ts';
import { type ProxyEnvironment, proxiesOf } from '../egress/proxy.ts';
import type { OperatorSettings } from './settings.ts';

type Rules = Pick<OperatorSettings, 'egressAllow' | 'egressDeny' | 'metricHosts' | 'insecureRegistries'>;

/** How requests leave that tenants cause. */
export type Egress = { readonly metrics: typeof fetch; readonly registries: typeof fetch };

const lookupAll: Lookup = (hostname) => dnsLookup(hostname, { all: true });

/** Every address at which this replica knows the API server, as `192.0.2.7:443`. A name that cannot be looked up has none. */
export const apiServerAddresses = async (
  server: string,
  environment: PodEnvironment,
  lookup: Lookup = lookupAll,
): Promise<readonly string[]> => {
  const url = new URL(server);
  const name = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const found = isIP(name) === 0 ? await lookup(name).catch(() => []) : [{ address: name }];
  const addresses = found.map(({ address }) => withPort(plainAddress(address), portOf(url)));
  return [...addresses, ...apiServerOfPod(environment)];
};

/**
 * A `fetch` for metrics and one for registries and the token services that these name. Hosts that metrics may be read from,
 * and registries without encryption, are listed by that alone. `proxies`: the environment that names them.
 */
export const openEgress = (
  { egressAllow, egressDeny: deny, metricHosts, insecureRegistries }: Rules,
  apiServer: readonly string[],
  { lookup, proxies = {} }: { readonly lookup?: Lookup; readonly proxies?: ProxyEnvironment } = {},
): Egress => {
  const allowing = (hosts: readonly string[]): typeof fetch => {
    const policy = new EgressPolicy({ allow: [...egressAllow, ...hosts], deny, apiServer });
    return createGuardedFetch(policy, lookup, proxiesOf(proxies));
  };
  return { metrics: allowing(metricHosts), registries: allowing(insecureRegistries) };
};
