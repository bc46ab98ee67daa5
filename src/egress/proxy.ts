import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { isIP } from 'node:net';
import { addAbortSignal } from 'node:stream';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { contains, kindOf, networkOf, plainAddress } from './address.ts';
import { portOf } from './host-pattern.ts';

/** HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or the same in lower case, which count first. */
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/** The address of the proxy for a URL; undefined: it is asked without one. */
export type ProxyFor = (url: URL) => string | undefined;

const valueOf = (environment: ProxyEnvironment, name: string): string =>
  environment[name.toLowerCase()] || environment[name] || '';

/** @throws CONFIG_INVALID; the address may have a password */
const proxyIn = (environment: ProxyEnvironment, name: string): string => {
  const value = valueOf(environment, name);
  if (value === '' || /^https?:$/.test(URL.parse(value)?.protocol ?? '')) return value;
  throw new AdaptletError('CONFIG_INVALID', `${name} is no address of a proxy`, {
    advice: 'Give scheme, host and port, for example http://proxy.example:3128.',
  });
};

const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');

/** An entry of NO_PROXY: `*`, a host with all below it, `.domain`, `*.domain`, an address or a network; each with a port or without. */
const isExempt = (entry: string, url: URL): boolean => {
  const host = hostOf(url);
  const network = networkOf(entry.replace(/^\[(.*)\]$/, '$1'));
  if (network !== undefined) return isIP(host) !== 0 && contains(network, plainAddress(host));
  const [, name = '', port] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (port !== undefined && port !== portOf(url)) return false;
  if (name === '*') return true;
  const domain = name.replace(/^\*?\./, '').replace(/^\[(.*)\]$/, '$1');
  return domain !== '' && (host === domain || host.endsWith(`.${domain}`));
};

const isThisMachine = (url: URL): boolean => {
  const host = hostOf(url);
  return host === 'localhost' || (isIP(host) !== 0 && kindOf(plainAddress(host)) === 'loopback');
};

/**
 * The proxies of an environment. This machine is asked without one.
 * @throws CONFIG_INVALID
 */
export const proxiesOf = (environment: ProxyEnvironment): ProxyFor => {
  const [https, http] = [proxyIn(environment, 'HTTPS_PROXY'), proxyIn(environment, 'HTTP_PROXY')];
  const exempt = valueOf(environment, 'NO_PROXY')
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '');
  return (url) => {
    const proxy = url.protocol === 'https:' ? https : http;
    if (proxy === '' || isThisMachine(url) || exempt.some((entry) => isExempt(entry, url))) return undefined;
    return proxy;
  };
};

/**
 * One connection through a proxy: a tunnel for HTTPS, whose certificate is that of the target. A request of Node hears of its signal
 * only once there is a tunnel, so the signal ends the connection to the proxy as well.
 */
export const agentThrough = (proxy: string, { protocol }: URL, signal?: AbortSignal | null): HttpAgent => {
  const proxyEnv = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
  const agent = protocol === 'https:' ? new HttpsAgent({ proxyEnv }) : new HttpAgent({ proxyEnv });
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (...options) => {
    const socket = connect(...options);
    return socket && signal ? addAbortSignal(signal, socket) : socket;
  };
  return agent;
};
