import { z } from 'zod';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import type { Authorization } from './authorizations.ts';
import type { Credentials, Password } from './docker-config.ts';
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

/** One GET, or a POST of a form, without redirects; throws REGISTRY_INSECURE and REGISTRY_UNAVAILABLE by itself. */
export type Get = (
  url: URL,
  headers: Readonly<Record<string, string>>,
  form?: URLSearchParams,
) => Promise<Response>;

/** What a header takes. Of anything else an error of `fetch` would quote it. */
const tokenText = z.string().regex(/^[\x21-\x7e]+$/);

const tokenSchema = z.object({
  token: tokenText.optional(),
  access_token: tokenText.optional(),
  /** Seconds; 60 when it is not said. */
  expires_in: z.number().positive().catch(60).default(60),
});

/** A token is not used in its last seconds, and none for longer than an hour. */
const lifetimeOf = (seconds: number): number => Math.min(seconds, 3600) * 900;

/** A password is looked up again now and then, so that one that was taken back is not used for ever. */
const basicLifetimeMs = 300_000;

const basic = ({ username, password }: Password): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

export const denied = (reference: ImageReference, why: string): AdaptletError =>
  new AdaptletError('REGISTRY_DENIED', `${reference.registry}/${reference.repository}: ${why}`);

/** The most bytes of an answer of a token service that are read. */
const maxTokenBytes = 256 * 1024;

/** Undefined where it is no JSON, too long, or breaks off. */
const readJson = async (response: Response): Promise<unknown> => {
  try {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += chunk.byteLength;
      if (size > maxTokenBytes) return undefined;
      chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return undefined;
  }
};

const realmOf = (challenge: Challenge, reference: ImageReference): URL => {
  const realm = challenge.parameters.get('realm') ?? '';
  if (!URL.canParse(realm)) throw denied(reference, `its token service ${quoteUntrusted(realm)} is no URL`);
  return new URL(realm);
};

/** For which service, and for what, a token is asked. */
const wantedOf = (
  { parameters }: Challenge,
  reference: ImageReference,
  isPullOnly: boolean,
): Readonly<Record<string, string>> => {
  const service = parameters.get('service');
  const pull = `repository:${reference.repository}:pull`;
  const scope = isPullOnly ? pull : (parameters.get('scope') ?? pull);
  return { ...(service === undefined ? {} : { service }), scope };
};

/** Who asks, for the protocol of refresh tokens. */
const clientId = 'adaptlet';

const askService = async (
  url: URL,
  wanted: Readonly<Record<string, string>>,
  credentials: Credentials | undefined,
  get: Get,
): Promise<Response> => {
  if (credentials !== undefined && 'identityToken' in credentials) {
    // In the body: the address is in logs of others.
    const form = {
      grant_type: 'refresh_token',
      refresh_token: credentials.identityToken,
      client_id: clientId,
    };
    return await get(url, {}, new URLSearchParams({ ...form, ...wanted }));
  }
  for (const [name, value] of Object.entries(wanted)) url.searchParams.set(name, value);
  return await get(url, credentials === undefined ? {} : { authorization: basic(credentials) });
};

/**
 * The token protocols of the distribution project: https://distribution.github.io/distribution/spec/auth/token/, and with an
 * identity token https://distribution.github.io/distribution/spec/auth/oauth/.
 */
const bearer = async (
  challenge: Challenge,
  reference: ImageReference,
  credentials: Credentials | undefined,
  get: Get,
  isPullOnly: boolean,
): Promise<Authorization> => {
  const url = realmOf(challenge, reference);
  const response = await askService(url, wantedOf(challenge, reference, isPullOnly), credentials, get);
  if (!response.ok) {
    await response.body?.cancel();
    throw denied(reference, `the token service ${url.host} answered ${response.status}`);
  }
  const parsed = tokenSchema.safeParse(await readJson(response));
  const token = parsed.data?.token ?? parsed.data?.access_token;
  if (token === undefined) throw denied(reference, `the token service ${url.host} sent no token`);
  return { header: `Bearer ${token}`, lifetimeMs: lifetimeOf(parsed.data?.expires_in ?? 60) };
};

/**
 * The Authorization header that answers a 401, and for how long. `isPullOnly`: a token that is asked for is for reading this
 * repository, whatever scope the registry names.
 * @throws AdaptletError REGISTRY_DENIED
 */
export const answerChallenge = async (
  header: string | null,
  reference: ImageReference,
  credentials: Credentials | undefined,
  get: Get,
  isPullOnly = false,
): Promise<Authorization> => {
  const challenges = parseChallenges(header ?? '');
  const token = challenges.find(({ scheme }) => scheme === 'bearer');
  if (token !== undefined) return await bearer(token, reference, credentials, get, isPullOnly);
  if (challenges.some(({ scheme }) => scheme === 'basic')) {
    if (credentials === undefined)
      throw denied(reference, 'it asks for credentials and there are none for it');
    if ('identityToken' in credentials)
      throw denied(reference, 'it asks for a password, and there is an identity token for it');
    return { header: basic(credentials), lifetimeMs: basicLifetimeMs };
  }
  throw denied(reference, `it asks for a login that is not known: ${quoteUntrusted(header ?? '')}`);
};
