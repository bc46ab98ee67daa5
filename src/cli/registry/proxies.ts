import { setGlobalProxyFromEnv } from 'node:http';

const names = ['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy'] as const;
/** This machine is asked without a proxy, as nodes do. */
const here = 'localhost,127.0.0.1,[::1]';

/**
 * From here on requests of this process leave through the proxies that the environment names; the result ends that. A command asks
 * servers that the person who calls it names, so nothing but the environment decides.
 */
export const useProxies = (environment: Readonly<Record<string, string | undefined>>): (() => void) => {
  const named = names.flatMap((name) => {
    const value = environment[name];
    return value === undefined || value === '' ? [] : [[name, value] as const];
  });
  if (named.length === 0) return () => undefined;
  const exempt = environment['no_proxy'] || environment['NO_PROXY'] || '';
  return setGlobalProxyFromEnv({
    ...Object.fromEntries(named),
    no_proxy: exempt === '' ? here : `${exempt},${here}`,
  });
};
