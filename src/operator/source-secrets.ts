import { hostsAnnotation, type SourceSecret } from '../api/source.ts';
import type { Authorization } from '../artifact/authorizations.ts';
import { isAllowed, isHostPattern } from '../egress/host-pattern.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { type SecretParts, secretValues } from './secret-values.ts';

export type SourceSecretParts = SecretParts & {
  /** Whether nodes get what is in a Secret itself: nothing smaller can be made of it. */
  readonly passwords: 'deny' | 'allow';
  /** The label of Secrets that adapters may be fetched with. */
  readonly label: string;
  /** Milliseconds after which a node asks again. */
  readonly lifetimeMs: number;
};

type Ref = Pick<SourceSecret, 'is' | 'place'> & SourceSecret['ref'];

/** Secrets of other uses have other types. */
const secretType = 'Opaque';

const unusable = (what: string): AdaptletError => new AdaptletError('PULL_SECRET', what);

/**
 * What nodes ask web servers and hubs with, out of the Secrets that sources name.
 * @throws PULL_SECRET, KUBE_*
 */
export const sourceSecrets = (
  parts: SourceSecretParts,
): ((namespace: string, secret: SourceSecret, signal: AbortSignal) => Promise<Authorization>) => {
  const values = secretValues<Ref, string>(parts, {
    label: parts.label,
    code: 'PULL_SECRET',
    valueOf: ({ metadata, type, data }, { key, is, place }, where) => {
      if (type !== secretType) throw unusable(`${where} is not of type ${secretType}`);
      if (is === 'Header') checkHost(place, metadata.annotations?.[hostsAnnotation] ?? '', where);
      const encoded = data?.[key];
      if (encoded === undefined) throw unusable(`${where} has no key ${key}`);
      // A file that became a Secret ends with a line break.
      const value = Buffer.from(encoded, 'base64').toString('utf8').trimEnd();
      const form = is === 'Token' ? /^[\x21-\x7e]+$/ : /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;
      if (!form.test(value)) throw unusable(`key ${key} of ${where} is not one line that a header can have`);
      return is === 'Token' ? `Bearer ${value}` : value;
    },
  });
  return async (namespace, { ref, is, place }, signal) => {
    if (parts.passwords === 'deny')
      throw new AdaptletError('PULL_SECRET', 'nodes get no passwords, and this source has nothing else', {
        advice: 'Ask the administrator to set credentials.passwords: allow of the chart, or use a registry.',
      });
    return { header: await values(namespace, { ...ref, is, place }, signal), lifetimeMs: parts.lifetimeMs };
  };
};

/** Whoever writes an Adapter names the server, and need not be who may read the Secret: its owner says whom it is sent to. */
const checkHost = (place: string, listed: string, where: string): void => {
  const hosts = listed.split(',').map((host) => host.trim());
  const url = new URL(place);
  if (hosts.every(isHostPattern) && isAllowed(url, hosts, 'Https')) return;
  throw new AdaptletError('PULL_SECRET', `${where} does not say that it may be sent to ${url.host}`, {
    advice: `Annotate the Secret with ${hostsAnnotation}: ${url.host}, if it is for that server.`,
  });
};
