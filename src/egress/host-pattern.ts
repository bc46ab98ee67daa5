/** A host: `name`, `name:port`, `*.domain`, `[::1]:port`. Without a port every one is meant. */
export const hostPattern = /^(\*\.)?([a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$/;

export const isHostPattern = (text: string): boolean => hostPattern.test(text.toLowerCase());

/** The port that a URL is asked at. */
export const portOf = ({ port, protocol }: URL): string => port || (protocol === 'https:' ? '443' : '80');

const matches = (text: string, url: URL): boolean => {
  const [, wildcard, host = '', , port] = hostPattern.exec(text.toLowerCase()) ?? [];
  if (port !== undefined && port !== `:${portOf(url)}`) return false;
  const asked = url.hostname.replace(/\.$/, '');
  return wildcard === undefined ? asked === host : asked.endsWith(`.${host}`);
};

/** Whether the host of a URL is one of the patterns. No patterns: every host is. */
export const isAllowed = (url: URL, patterns: readonly string[]): boolean =>
  patterns.length === 0 || patterns.some((one) => matches(one, url));
