import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from 'node:https';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf } from '../../errors/errno.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { KubeApi, KubeRequest } from './api.ts';
import { CredentialSource, type Credentials } from './credentials.ts';
import { type Call, errorOfAnswer, readText, unavailable } from './errors.ts';
import { readWatchStream } from './watch-stream.ts';

export type KubeOptions = {
  /** Path of a kubeconfig. Default: $KUBECONFIG, ~/.kube/config, the ServiceAccount of the pod, in this order. */
  readonly kubeconfig?: string;
  /** Of the kubeconfig. Default: its current one. */
  readonly context?: string;
  readonly clock: Clock;
  readonly logger: Log;
  readonly limits?: Partial<KubeLimits>;
};

export type KubeLimits = {
  /** Milliseconds for a request from start to the last byte of the answer; for a watch, to the first. */
  readonly requestMs: number;
  /** Bytes of an answer: a page of a list is the longest. */
  readonly maxBodyBytes: number;
  /** Bytes of one event of a watch. etcd takes objects of up to 1.5 MiB. */
  readonly maxLineBytes: number;
};

const defaultLimits: KubeLimits = { requestMs: 30_000, maxBodyBytes: 128 << 20, maxLineBytes: 16 << 20 };

/** Requests at a time; more wait for one of these connections. Watches have connections of their own. */
const maxRequests = 32;
/** Milliseconds after which an idle connection is closed; the server's own limit is above a minute. */
const idleMs = 45_000;
/** Milliseconds of quiet after which the kernel probes a connection, so that dead peers are found without traffic. */
const probeMs = 15_000;

export type KubeConnection = KubeApi & {
  /** URL of the API server. */
  readonly server: string;
  /** Namespace of the context. */
  readonly namespace: string;
  /**
   * The Bearer token of the credentials as they are now; undefined where they are others, such as a certificate.
   * @throws KUBE_UNAUTHORIZED
   */
  readonly bearer: () => Promise<string | undefined>;
  /** Closes all connections; requests under way fail. */
  readonly close: () => void;
};

/** A request with what it needs to be sent. */
type Sendable = Call & {
  readonly target: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
};

/**
 * The API server that the kubeconfig names.
 *
 * Guarantees: no request outlives its limit; answers are bounded; credentials are read anew when the server refuses
 * them, and regularly; they are never sent to another server (redirects are errors).
 *
 * @throws AdaptletError KUBE_UNAUTHORIZED when no cluster is found
 */
export const connectKube = ({ kubeconfig, context, clock, logger, limits }: KubeOptions): KubeConnection => {
  const { requestMs, maxBodyBytes, maxLineBytes } = { ...defaultLimits, ...limits };
  const source = new CredentialSource(kubeconfig, context, clock, logger);
  const base = new URL(source.server);
  const { agents, closeAgents } = openAgents(base);

  const answered = async (
    sendable: Sendable,
    agent: Agent,
    signal: AbortSignal,
  ): Promise<IncomingMessage> => {
    let credentials = source.current();
    for (let renewed = false; ; renewed = true) {
      const response = await send(base, sendable, agent, await until(signal, credentials), signal);
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) return response;
      const error = await errorOfAnswer(sendable, response, clock.now());
      if (status !== 401 || renewed) throw error;
      logger.info({ err: error }, 'the API server refused the credentials; reading them anew');
      credentials = source.renewed(credentials);
    }
  };

  return {
    server: source.server,
    namespace: source.namespace,
    bearer: async () => bearerOf(await source.current()),
    close: closeAgents,
    request: async <T>(request: KubeRequest): Promise<T> => {
      const sendable = sendableOf(base, request);
      return await withDeadline(clock, requestMs, sendable, request.signal, async (signal) => {
        const response = await answered(sendable, agents.requests, signal);
        const text = await readText(sendable, response, maxBodyBytes);
        try {
          return (text === '' ? undefined : JSON.parse(text)) as T;
        } catch (error) {
          throw unavailable(sendable, 'the answer is not JSON', error);
        }
      });
    },
    stream: async ({ silentMs, signal, ...asked }) => {
      const sendable = sendableOf(base, { method: 'GET', ...asked });
      const stream = await withDeadline(clock, Math.min(requestMs, silentMs), sendable, signal, (either) =>
        answered(sendable, agents.watches, either),
      );
      return events(readWatchStream(stream, { call: sendable, clock, silentMs, maxLineBytes }), signal);
    },
  };
};

const bearerOf = ({ headers = {} }: Credentials): string | undefined => {
  // A list of names and values is never made of a kubeconfig.
  const [, value] = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization') ?? [];
  const [, token] = /^Bearer +(\S+)$/i.exec(String(value ?? '')) ?? [];
  return token;
};

/** A stream that its user closed ends with the user's reason. */
const events = async function* (stream: AsyncIterable<unknown>, signal: AbortSignal) {
  try {
    yield* stream;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
};

type Agent = HttpAgent | HttpsAgent;

const openAgents = ({ protocol }: URL) => {
  const options = { keepAlive: true, keepAliveMsecs: probeMs, timeout: idleMs, scheduling: 'lifo' } as const;
  const open = (maxSockets: number): Agent =>
    protocol === 'https:'
      ? new HttpsAgent({ ...options, maxSockets })
      : new HttpAgent({ ...options, maxSockets });
  const agents = { requests: open(maxRequests), watches: open(Number.POSITIVE_INFINITY) };
  return {
    agents,
    closeAgents: () => {
      agents.requests.destroy();
      agents.watches.destroy();
    },
  };
};

const sendableOf = (
  base: URL,
  { method, path, query, body, contentType, accept = 'application/json' }: KubeRequest,
): Sendable => {
  // Names come from objects; none of them may lead elsewhere.
  if (!path.startsWith('/') || path.split('/').some((part) => part === '.' || part === '..')) {
    throw new AdaptletError('KUBE_INVALID', `${method} ${path}: this is not a path of the API`);
  }
  const parameters = new URLSearchParams(query).toString();
  const text = body === undefined ? undefined : JSON.stringify(body);
  return {
    method,
    path,
    target: `${base.pathname.replace(/\/$/, '')}${path}${parameters === '' ? '' : `?${parameters}`}`,
    headers: {
      accept,
      'user-agent': 'adaptlet',
      ...(text === undefined
        ? {}
        : {
            'content-type': contentType ?? 'application/json',
            'content-length': String(Buffer.byteLength(text)),
          }),
    },
    ...(text === undefined ? {} : { body: text }),
  };
};

/** Runs `work` with a signal that also fires after `ms`; the reason of the caller's own signal comes first. */
const withDeadline = async <T>(
  clock: Clock,
  ms: number,
  call: Call,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> => {
  signal?.throwIfAborted();
  const deadline = new AbortController();
  const cancel = clock.after(ms, () => {
    deadline.abort(unavailable(call, `no answer within ${ms} ms`));
  });
  try {
    return await work(signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]));
  } catch (error) {
    signal?.throwIfAborted();
    deadline.signal.throwIfAborted();
    throw error;
  } finally {
    cancel();
  }
};

/** The value, unless the signal fires first: exec plug-ins may hang. */
const until = async <T>(signal: AbortSignal, value: Promise<T>): Promise<T> => {
  const aborted = Promise.withResolvers<never>();
  const abort = () => {
    aborted.reject(signal.reason);
  };
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([value, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
};

/** One attempt; more where kept connections turn out to have been closed by the server meanwhile. */
const send = async (
  base: URL,
  sendable: Sendable,
  agent: Agent,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<IncomingMessage> => {
  for (;;) {
    const exchanged = await exchange(base, sendable, agent, credentials, signal);
    if ('response' in exchanged) return exchanged.response;
    signal.throwIfAborted();
    const { stale, cause } = exchanged;
    // Only what changes nothing is sent again by itself.
    if (stale && sendable.method === 'GET') continue;
    throw unavailable(sendable, `${base.host} did not answer: ${errnoOf(cause) ?? cause.message}`, cause);
  }
};

type Exchanged =
  | { readonly response: IncomingMessage }
  | {
      readonly cause: Error;
      /** True when a connection that was used before broke without an answer. */
      readonly stale: boolean;
    };

const exchange = (
  base: URL,
  { method, target, headers, body }: Sendable,
  agent: Agent,
  { proxy, headers: authorization, ...credentials }: Credentials,
  signal: AbortSignal,
): Promise<Exchanged> => {
  const { promise, resolve } = Promise.withResolvers<Exchanged>();
  const options: RequestOptions = {
    ...credentials,
    protocol: base.protocol,
    host: base.hostname.replace(/^\[|\]$/g, ''),
    port: base.port,
    method,
    path: target,
    headers: { ...headers, ...(authorization as Record<string, string> | undefined) },
    agent: proxy ?? agent,
  };
  const request = base.protocol === 'https:' ? httpsRequest(options) : httpRequest(options);
  const abort = (): void => {
    request.destroy(new Error('aborted', { cause: signal.reason }));
  };
  signal.addEventListener('abort', abort, { once: true });
  request.on('close', () => {
    signal.removeEventListener('abort', abort);
  });
  request.on('socket', (socket) => socket.setKeepAlive(true, probeMs));
  request.on('response', (response) => {
    resolve({ response });
  });
  // Stays after the answer came: what breaks then is told by the answer's own stream.
  request.on('error', (cause) => {
    resolve({ stale: request.reusedSocket && errnoOf(cause) === 'ECONNRESET', cause });
  });
  request.end(body);
  return promise;
};
