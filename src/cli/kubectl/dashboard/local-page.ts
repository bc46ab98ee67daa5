import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { errorHeader } from '../../../dashboard/views.ts';
import { asAdaptletError } from '../../../errors/adaptlet-error.ts';
import { listenOn } from '../../../settings/address.ts';

/** Milliseconds for an answer of the operator. */
const answerMs = 15_000;

export type LocalPageParts = {
  /** 0: any free one. */
  readonly port: number;
  /** Local port that leads to the operator now. */
  readonly forward: () => Promise<number>;
  readonly token: () => Promise<string>;
  /** The operator said that another replica leads, or did not answer. */
  readonly lost: () => void;
};

export type LocalPage = { readonly url: string; close(): void };

/**
 * The page on this machine, for whoever knows the secret in its URL. The token of the person is added here, and never
 * comes into the browser.
 *
 * Guarantees: it listens on 127.0.0.1 alone and answers to no other name (a foreign web page that gets its name to lead
 * here has no secret, and another Host); nothing of the browser but the path and the tag of what it has goes on.
 */
export const startLocalPage = async (parts: LocalPageParts): Promise<LocalPage> => {
  const secret = randomBytes(24).toString('base64url');
  const server = createServer({ maxHeaderSize: 16 << 10 }, (request, response) => {
    const host = `127.0.0.1:${port}`;
    const [, given = '', rest = ''] = /^\/([^/]*)(\/.*)$/.exec(request.url ?? '') ?? [];
    if (request.method !== 'GET' || request.headers.host !== host || !isEqual(given, secret)) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('There is nothing here.\n');
      return;
    }
    // The page gives up questions whenever another view is chosen: that says nothing about the operator.
    const left = new AbortController();
    response.once('close', () => left.abort());
    passOn(request, response, rest, parts, left.signal).catch((error: unknown) => {
      if (left.signal.aborted) return;
      parts.lost();
      const { code, what, advice } = asAdaptletError(error, 'reaching the operator');
      if (response.headersSent) response.destroy();
      else
        response.writeHead(502, { 'content-type': 'application/json' }).end(
          JSON.stringify({
            code: code === 'INTERNAL' ? 'REPLICA_UNAVAILABLE' : code,
            message: what,
            advice,
          }),
        );
    });
  });
  const port = await listenOn(server, `127.0.0.1:${parts.port}`);
  return {
    url: `http://127.0.0.1:${port}/${secret}/`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
};

const isEqual = (a: string, b: string): boolean =>
  a.length === b.length &&
  timingSafeEqual(Buffer.from(a.padEnd(b.length)).subarray(0, b.length), Buffer.from(b));

const passOn = async (
  { headers }: IncomingMessage,
  response: ServerResponse,
  path: string,
  { forward, token, lost }: LocalPageParts,
  left: AbortSignal,
): Promise<void> => {
  const tag = headers['if-none-match'];
  const options = {
    host: '127.0.0.1',
    port: await forward(),
    path,
    headers: {
      ...(path.startsWith('/api/') ? { authorization: `Bearer ${await token()}` } : {}),
      ...(tag === undefined ? {} : { 'if-none-match': tag }),
    },
    signal: AbortSignal.any([left, AbortSignal.timeout(answerMs)]),
  };
  await new Promise<void>((resolve, reject) => {
    const asked = httpRequest(options, (answer) => {
      // Not the leader any more: the next question goes to who is.
      if (answer.headers[errorHeader] === 'NOT_LEADER') lost();
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on('error', reject).on('end', resolve).pipe(response);
    });
    asked.on('error', reject);
    asked.end();
  });
};
