import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';
import { maxAnswerBytes } from './source.ts';

export type Request = {
  readonly url: URL;
  /** Value of the Authorization header. */
  readonly authorization?: string | undefined;
  /** A form makes it a POST. */
  readonly form?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
};

export type Answer = {
  readonly status: number;
  /** The parsed body, or undefined where it is not JSON or does not say so. Nothing of a body that is not JSON gets out. */
  readonly json: unknown;
};

/** For messages. A query of a URL may hold what is not for everybody who reads a status. */
export const placeOf = ({ origin, pathname }: URL): string =>
  `${origin}${pathname.length > 120 ? `${pathname.slice(0, 120)}…` : pathname}`;

/** What went wrong, in a word of the operating system or of the HTTP parser: ECONNREFUSED, CERT_HAS_EXPIRED. */
const reasonOf = (error: unknown): string => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return errnoOf(cause) ?? (cause instanceof Error ? cause.name : 'unknown');
};

const saysJson = (response: Response): boolean =>
  /^application\/([\w.+-]+\+)?json *(;|$)/i.test(response.headers.get('content-type') ?? '');

const tooLarge = (url: URL): AdaptletError =>
  new AdaptletError('METRIC_UNREADABLE', `${placeOf(url)} answers more than ${maxAnswerBytes} bytes`);

/** Ends with the first byte that is too many; the rest is never read. */
const readBody = async (response: Response, url: URL): Promise<Buffer> => {
  if (Number(response.headers.get('content-length')) > maxAnswerBytes) throw tooLarge(url);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > maxAnswerBytes) throw tooLarge(url);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

/** What of an Authorization header nobody but the server may read. */
const secretsIn = (authorization: string): readonly string[] => {
  const [scheme, value = ''] = authorization.split(' ');
  if (scheme !== 'Basic') return [value];
  const login = Buffer.from(value, 'base64').toString('utf8');
  return [value, login, login.slice(login.indexOf(':') + 1)];
};

/** Takes credentials out of texts: servers quote requests in their errors, and those get into statuses. */
const withoutSecrets = (text: string, authorization: string): string =>
  secretsIn(authorization)
    .filter((secret) => secret !== '')
    .reduce((rest, secret) => rest.replaceAll(secret, '[credentials]'), text);

/** The parser's own message quotes the text: it is left out. */
const parsed = (body: Buffer, authorization: string | undefined): unknown => {
  const reviver =
    authorization === undefined
      ? undefined
      : (_: string, value: unknown) =>
          typeof value === 'string' ? withoutSecrets(value, authorization) : value;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body), reviver);
  } catch {
    return undefined;
  }
};

/**
 * One request without cookies or redirects, whose answer is read up to `maxAnswerBytes`; the connection is
 * not kept.
 * @throws METRIC_UNAVAILABLE where nothing comes or it breaks off, METRIC_UNREADABLE where it is too large or leads
 * elsewhere; the reason of `signal`
 */
export const boundedFetch = async (
  fetcher: typeof fetch,
  { url, authorization, form, signal }: Request,
): Promise<Answer> => {
  let response: Response | undefined;
  try {
    response = await fetcher(url, {
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        'accept-encoding': 'identity',
        connection: 'close',
        'user-agent': 'adaptlet',
        ...(authorization === undefined ? {} : { authorization }),
      },
      redirect: 'manual',
      credentials: 'omit',
      signal,
      ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
    });
    if (response.status >= 300 && response.status < 400)
      throw new AdaptletError(
        'METRIC_UNREADABLE',
        `${placeOf(url)} answers ${response.status}, a redirect, which is not followed`,
        { advice: 'Name the address that the redirect leads to.' },
      );
    if (!saysJson(response)) return { status: response.status, json: undefined };
    return { status: response.status, json: parsed(await readBody(response, url), authorization) };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AdaptletError) throw error;
    throw new AdaptletError('METRIC_UNAVAILABLE', `${placeOf(url)} did not answer: ${reasonOf(error)}`, {
      cause: error,
    });
  } finally {
    // A body that was read, or broke, has nothing left to cancel.
    if (response?.body?.locked === false) await response.body.cancel().catch(() => {});
  }
};
