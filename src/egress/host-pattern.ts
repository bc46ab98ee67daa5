/** A host: `name`, `name:port`, `name:*`, `*.domain`, `[::1]:port`. What an entry without a port means is up to who lists it. */
export const hostPattern = /^(\*\.)?([a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:(?:[0-9]{1,5}|\*))?$/;

export const isHostPattern = (text: string): boolean => hostPattern.test(text.toLowerCase());

/** What an entry without a port stands for: every port, or that of HTTPS, over TLS. */
export type WithoutPort = 'EveryPort' | 'Https';

/** The port that a URL is asked at. */
export const portOf = ({ port, protocol }: URL): string => port || (protocol === 'https:' ? '443' : '80');

const matches = (text: string, url: URL, withoutPort: WithoutPort): boolean => {
  const [, wildcard, host = '', , port] = hostPattern.exec(text.toLowerCase()) ?? [];
  // A URL does not name the port of its scheme.
  const isHttps = url.protocol === 'https:' && url.port === '';
  if (port === undefined && withoutPort === 'Https' && !isHttps) return false;
  if (port !== undefined && port !== ':*' && port !== `:${portOf(url)}`) return false;
  const asked = url.hostname.replace(/\.$/, '');
  return wildcard === undefined ? asked === host : asked.endsWith(`.${host}`);
};

/** Whether the host of a URL is one of the patterns. No patterns: every host is. */
export const isAllowed = (
  url: URL,
  patterns: readonly string[],
  withoutPort: WithoutPort = 'EveryPort',
): boolean => patterns.length === 0 || patterns.some((one) => matches(one, url, withoutPort));
