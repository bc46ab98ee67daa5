import { isIP } from 'node:net';
import { namespaceOf, type ObjectKey } from '../../api/names.ts';
import type { Source } from '../../api/source.ts';
import { isPlainHttp, parseReference } from '../../artifact/reference.ts';
import { kindOf, networksOf, plainAddress } from '../../egress/address.ts';
import { apiServerOfPod, type PodEnvironment, withPort } from '../../egress/api-server.ts';
import { createGuardedFetch, type Lookup } from '../../egress/guarded-fetch.ts';
import { EgressPolicy } from '../../egress/policy.ts';
import { type ProxyFor, proxiesOf } from '../../egress/proxy.ts';
import { modelSourceOf } from '../config/model-source.ts';
import type { Settings } from '../config/settings.ts';

/** What a translator of the site makes of it is not known: it may be anything that IPv4 has. */
const translated = '64:ff9b:1::/48';

type Rules = Pick<
  Settings,
  'model' | 'egressAllow' | 'egressDeny' | 'insecureRegistries' | 'registryMirrors' | 'hfEndpoint'
>;

/** What is known of sources once there is a plan. */
export type Sources = {
  /** Adapters are written by others than the administrator of this node. */
  readonly hasTenants: boolean;
  /** Registries and web addresses, or what is below them, that the AdapterPolicy of a namespace lists. */
  readonly listed: (namespace: string) => readonly string[];
};

/**
 * Where requests for adapters and the base model lead. Besides public addresses over TLS: what the settings list, the registry of
 * the base model, the hub of the settings for what comes from a hub, and for the adapters of a namespace the registries and web
 * servers that its policy lists. A node without tenants may ask private addresses and this machine as well. Each redirect and each token service is a request of its own.
 * All of it leaves through the proxy of the environment, if there is one for it.
 */
export class NodeEgress {
  readonly #rules: Rules;
  readonly #apiServer: readonly string[];
  readonly #lookup: Lookup | undefined;
  readonly #proxyFor: ProxyFor;
  #sources: Sources = { hasTenants: true, listed: () => [] };

  constructor(rules: Rules, environment: PodEnvironment, lookup?: Lookup) {
    this.#rules = rules;
    this.#apiServer = apiServerOfPod(environment);
    this.#lookup = lookup;
    this.#proxyFor = proxiesOf(environment);
  }

  follow(sources: Sources): void {
    this.#sources = sources;
  }

  /** For the base model, which the administrator names. */
  get baseModel(): typeof fetch {
    return this.#allowing([]);
  }

  /** For the source of an adapter. */
  readonly fetchFor = (key: ObjectKey, source: Source): typeof fetch => {
    const { hasTenants, listed } = this.#sources;
    const hub = source.huggingFace === undefined ? [] : [hostIn(this.#rules.hfEndpoint)];
    const hosts = [...listed(namespaceOf(key)).map(hostIn), ...hub].filter((host) => host !== '');
    if (hasTenants) return this.#allowing(this.#entriesOf(hosts));
    const { oci, http } = source;
    const named = oci === undefined ? http?.url : parseReference(oci.image).registry;
    const own = this.#entriesOf(named === undefined ? hub : [hostIn(named)]);
    const open = [...own, ...networksOf('private'), ...networksOf('loopback')];
    // Of private addresses those that no registry has, but which a registry may lead to.
    return this.#allowing(open, [...networksOf('instance metadata'), translated]);
  };

  #allowing(more: readonly string[], closed: readonly string[] = []): typeof fetch {
    const { model, egressAllow, egressDeny, insecureRegistries, registryMirrors } = this.#rules;
    const source = modelSourceOf(model);
    const ofModel = source.kind === 'registry' ? this.#entriesOf([source.image.registry]) : [];
    const mirrors = this.#entriesOf([...registryMirrors.values()].flat());
    const allow = [...egressAllow, ...insecureRegistries, ...mirrors, ...ofModel, ...more];
    const deny = [...egressDeny, ...closed];
    const policy = new EgressPolicy({ allow, deny, apiServer: this.#apiServer, whose: 'runtime' });
    return createGuardedFetch(policy, this.#lookup, this.#proxyFor);
  }

  /** A token service may have another port of the same host; of this machine the port alone is meant that was named. */
  #entriesOf(registries: readonly string[]): readonly string[] {
    return registries.flatMap((registry) => {
      const [, host = '', port] = /^(.*?)(?::(\d+))?$/.exec(registry.toLowerCase()) ?? [];
      const at = port ?? (isPlainHttp(registry, this.#rules.insecureRegistries) ? '80' : '443');
      if (host === 'localhost') return [withPort('127.0.0.1', at), withPort('::1', at)];
      const address = host.replace(/^\[(.*)\]$/, '$1');
      if (isIP(address) === 0) return [host];
      const plain = plainAddress(address);
      return [['private', 'public'].includes(kindOf(plain)) ? plain : withPort(plain, at)];
    });
  }
}

/** Host and port of a repository, or of a web address: with the port of its scheme, as this machine is open at one alone. */
const hostIn = (place: string): string => {
  if (!/^https?:\/\//.test(place)) return place.split('/')[0] ?? '';
  if (!URL.canParse(place)) return '';
  const { hostname, port, protocol } = new URL(place);
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`;
};
