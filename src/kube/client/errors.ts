import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';

/** What was asked, for messages: `GET /apis/apps/v1/deployments`. */
export type Call = { readonly method: string; readonly path: string };

/** Bytes of the answer that explains an error. */
const maxExplanationBytes = 1 << 20;
/** Characters of the server's message that go into ours. */
const maxMessageLength = 1000;

const codes: Readonly<Record<number, ErrorCode>> = {
  401: 'KUBE_UNAUTHORIZED',
  403: 'KUBE_FORBIDDEN',
  404: 'KUBE_NOT_FOUND',
  408: 'KUBE_UNAVAILABLE',
  409: 'KUBE_CONFLICT',
  410: 'KUBE_GONE',
  429: 'KUBE_UNAVAILABLE',
};

/** Statuses below 400 that are no success are redirects; they are not followed, as credentials would leave. */
const codeOfStatus = (status: number): ErrorCode =>
  codes[status] ?? (status >= 400 && status < 500 ? 'KUBE_INVALID' : 'KUBE_UNAVAILABLE');

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** One line, short, without control characters: it comes from outside and ends in logs and conditions. */
const oneLine = (text: string): string => {
  const line = text.replace(/[\p{Cc}\s]+/gu, ' ').trim();
  return line.length > maxMessageLength ? `${line.slice(0, maxMessageLength)}…` : line;
};

/** The message of a `Status` object, else the text itself. */
const explanationIn = (body: unknown): string =>
  isRecord(body) && typeof body['message'] === 'string' ? body['message'] : '';

const retryAfterIn = (body: unknown): number | undefined => {
  const details = isRecord(body) ? body['details'] : undefined;
  const seconds = isRecord(details) ? details['retryAfterSeconds'] : undefined;
  return typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : undefined;
};

/** The API server cannot be used: it is not there, broke off, or answers nonsense. */
export const unavailable = ({ method, path }: Call, what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('KUBE_UNAVAILABLE', `${method} ${path}: ${what}`, cause === undefined ? {} : { cause });

/** The error that a `Status` object stands for, as it comes in an ERROR event of a watch. */
export const errorOfStatus = (call: Call, body: unknown): AdaptletError => {
  const status = isRecord(body) && typeof body['code'] === 'number' ? body['code'] : 500;
  return errorOf(call, status, explanationIn(body), retryAfterIn(body));
};

const errorOf = (
  { method, path }: Call,
  status: number,
  explanation: string,
  retryAfterMs: number | undefined,
): AdaptletError =>
  new AdaptletError(
    codeOfStatus(status),
    `${method} ${path}: ${oneLine(explanation) || 'no explanation'} (${status})`,
    retryAfterMs === undefined ? {} : { retryAfterMs },
  );

/** Reads an answer that is no success and says what it means. `nowMs` is the wall time. */
export const errorOfAnswer = async (
  call: Call,
  response: IncomingMessage,
  nowMs: number,
): Promise<AdaptletError> => {
  const status = response.statusCode ?? 0;
  if (status < 400) {
    response.destroy();
    const to = oneLine(response.headers.location ?? 'nowhere');
    return unavailable(call, `answered ${status} and names ${to}; redirects are not followed`);
  }
  const text = await readText(call, response, maxExplanationBytes);
  const body = parsed(text);
  return errorOf(
    call,
    status,
    explanationIn(body) || text || (response.statusMessage ?? ''),
    retryAfterOf(response.headers['retry-after'], nowMs) ?? retryAfterIn(body),
  );
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Proxies in between explain in plain text or HTML.
    return undefined;
  }
};

const retryAfterOf = (header: string | undefined, nowMs: number): number | undefined => {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
};

/** The whole body as text. @throws AdaptletError KUBE_UNAVAILABLE when it breaks off or has more than `maxBytes`. */
export const readText = async (call: Call, body: Readable, maxBytes: number): Promise<string> => {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw unavailable(call, 'the answer broke off', error);
  }
  if (size > maxBytes) throw unavailable(call, `the answer has more than ${maxBytes} bytes`);
  return Buffer.concat(chunks).toString('utf8');
};
