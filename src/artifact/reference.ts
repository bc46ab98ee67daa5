import { imageForm } from '../api/image.ts';
import { type Digest, isDigest } from '../api/names.ts';
import { adviceOn } from '../api/text.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';

/** `registry/repository[:tag][@digest]`, taken apart. */
export type ImageReference = {
  /** Host with an optional port. */
  readonly registry: string;
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
};

/**
 * Takes an image reference apart. Without tag and digest the tag is `latest`.
 * @throws AdaptletError ARTIFACT_REFERENCE_INVALID
 */
export const parseReference = (image: string): ImageReference => {
  const advice = image.length > 512 ? 'must have at most 512 characters' : adviceOn(image, imageForm);
  if (advice !== undefined)
    throw new AdaptletError('ARTIFACT_REFERENCE_INVALID', `${quoteUntrusted(image)} ${advice}`);
  const slash = image.indexOf('/');
  // Of the form alone `host:99999` and `999.1.1.1` are hosts, which no address can be made of.
  if (!URL.canParse(`https://${image.slice(0, slash)}/`)) {
    throw new AdaptletError(
      'ARTIFACT_REFERENCE_INVALID',
      `${quoteUntrusted(image)} has a registry that is no host with a port`,
    );
  }
  const [path = '', digest] = image.slice(slash + 1).split('@');
  const colon = path.indexOf(':');
  const tag = colon === -1 ? undefined : path.slice(colon + 1);
  return {
    registry: image.slice(0, slash),
    repository: colon === -1 ? path : path.slice(0, colon),
    tag: tag ?? (digest === undefined ? 'latest' : undefined),
    digest: digest !== undefined && isDigest(digest) ? digest : undefined,
  };
};

const hostOf = (registry: string): string => registry.replace(/:\d+$/, '');

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);

/**
 * Whether a host is spoken to without encryption: one that the administrator listed, or this machine, unless `loopback` is
 * false.
 */
export const isPlainHttp = (registry: string, insecureHosts: readonly string[], loopback = true): boolean =>
  (loopback && isLoopback(hostOf(registry))) ||
  insecureHosts.includes(registry) ||
  insecureHosts.includes(hostOf(registry));

/** The host that answers for a registry: Docker's own has its API under another name than people write. */
export const apiHostOf = (registry: string): string =>
  registry === 'docker.io' || registry === 'index.docker.io' ? 'registry-1.docker.io' : registry;
