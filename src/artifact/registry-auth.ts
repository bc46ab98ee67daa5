import { z } from 'zod';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import type { Credentials } from './docker-config.ts';
import type { ImageReference } from './reference.ts';

/** One scheme of a WWW-Authenticate header. Scheme and names of parameters are in lower case. */
export type Challenge = { readonly scheme: string; readonly parameters: ReadonlyMap<string, string> };

const piece = /\s*(?:,\s*)*([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/y;

/**
 * Reads a WWW-Authenticate header (RFC 9110, 11.6.1), in which several challenges may stand with commas between. Stops
 * at what it does not understand.
 */
export const parseChallenges = (header: string): readonly Challenge[] => {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  piece.lastIndex = 0;
  for (let match = piece.exec(header); match !== null; match = piece.exec(header)) {
    const [, name = '', quoted, plain] = match;
    const value = quoted === undefined ? plain : quoted.replaceAll(/\\(.)/g, '$1');
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
    else challenges.at(-1)?.parameters.set(name.toLowerCase(), value);
  }
  return challenges;
};

/** One GET without redirects; throws REGISTRY_INSECURE and REGISTRY_UNAVAILABLE by itself. */
export type Get = (url: URL, headers: Readonly<Record<string, string>>) => Promise<Response>;

const tokenSchema = z.object({ token: z.string().optional(), access_token: z.string().optional() });

const basic = ({ username, password }: Credentials): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

export const denied = (reference: ImageReference, why: string): AdaptletError =>
  new AdaptletError('REGISTRY_DENIED', `${reference.registry}/${reference.repository}: ${why}`);

const realmOf = (challenge: Challenge, reference: ImageReference): URL => {
  const realm = challenge.parameters.get('realm') ?? '';
  if (!URL.canParse(realm)) throw denied(reference, `its token service ${quoteUntrusted(realm)} is no URL`);
  const url = new URL(realm);
  const service = challenge.parameters.get('service');
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set(
    'scope',
    challenge.parameters.get('scope') ?? `repository:${reference.repository}:pull`,
  );
  return url;
};

/** The token protocol of the distribution project: https://distribution.github.io/distribution/spec/auth/token/ */
const bearer = async (
  challenge: Challenge,
  reference: ImageReference,
  credentials: Credentials | undefined,
  get: Get,
): Promise<string> => {
  const url = realmOf(challenge, reference);
  const response = await get(url, credentials === undefined ? {} : { authorization: basic(credentials) });
  if (!response.ok) {
    await response.body?.cancel();
    throw denied(reference, `the token service ${url.host} answered ${response.status}`);
  }
  const parsed = tokenSchema.safeParse(await response.json().catch(() => undefined));
  const token = parsed.data?.token ?? parsed.data?.access_token;
  if (token === undefined) throw denied(reference, `the token service ${url.host} sent no token`);
  return `Bearer ${token}`;
};

/**
 * The Authorization header that answers a 401.
 * @throws AdaptletError REGISTRY_DENIED
 */
export const answerChallenge = async (
  header: string | null,
  reference: ImageReference,
  credentials: Credentials | undefined,
  get: Get,
): Promise<string> => {
  const challenges = parseChallenges(header ?? '');
  const token = challenges.find(({ scheme }) => scheme === 'bearer');
  if (token !== undefined) return await bearer(token, reference, credentials, get);
  if (challenges.some(({ scheme }) => scheme === 'basic')) {
    if (credentials === undefined)
      throw denied(reference, 'it asks for credentials and there are none for it');
    return basic(credentials);
  }
  throw denied(reference, `it asks for a login that is not known: ${quoteUntrusted(header ?? '')}`);
};
