import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { type AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import { listenOn, openSockets } from '../../settings/address.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { Authority, Credentials } from '../identity/authority.ts';
import { StrangerConnections } from '../ports/stranger-connections.ts';
import { type Injection, inject } from './patch.ts';
import { answerOf, readReview } from './review.ts';
import type { Sidecar } from './template.ts';

/** A pod of 1.5 MB is the largest that etcd takes; the review has it once, as JSON. */
const maxBodyBytes = 4 << 20;
/** Of all reviews that are being read: anybody who reaches the port may send some. */
const maxReadBytes = 64 << 20;
const maxConnections = 1024;
/** The bundle is on its way to the namespace before the pod is; one that takes longer comes while it runs. */
const bundleMs = 1_000;
/**
 * A connection that is closed while the API server sends on it is a pod without a sidecar. So the API server closes those
 * that nobody uses: it does after 90 seconds, and Node would after 5.
 */
const keepAliveMs = 120_000;
/**
 * How long it goes on when the replica ends: the API server may ask it until it has heard that the Service has it no
 * more, and meanwhile each connection is given up by the answer to its last request.
 */
const lingerMs = 3_000;
/** What is under way then may take so long. */
const graceMs = 2_000;

export type WebhookOptions = {
  /** `host:port`, port 0 for any free one. */
  readonly address: string;
  readonly authority: Pick<Authority, 'credentials' | 'onChange'>;
  /** The sidecar as it is now. */
  readonly sidecar: () => Promise<Sidecar>;
  /** Why pods of a namespace are no runtimes; undefined: they may be. */
  readonly denied: (namespace: string) => AdaptletError | undefined;
  /** Brings the certificate authority to a namespace. Never throws. */
  readonly publishIn: (namespace: string) => Promise<void>;
  readonly clock: Clock;
  readonly logger: Log;
};

/** Pods by what became of them; `Failed`: no answer could be given. */
export type InjectionCounts = Readonly<Record<Injection['kind'] | 'Failed', number>>;

export type RunningWebhook = {
  readonly port: number;
  counts(): InjectionCounts;
  /** Connections that were ended because there were too many. */
  ended(): number;
  close(): Promise<void>;
};

const pairOf = ({ certificate, key }: Credentials) => ({ cert: certificate, key });

/**
 * Answers the API server about pods that are created, with the certificate of this replica; a new one is taken without a
 * restart.
 * @throws CONFIG_INVALID when the address cannot be listened on
 */
export const startWebhook = async (options: WebhookOptions): Promise<RunningWebhook> => {
  const { address, authority, clock, logger } = options;
  const counts = { Injected: 0, Unchanged: 0, Refused: 0, Failed: 0 };
  const bodies = new Bodies();
  // Anybody may reach the port, and the API server is known by nothing: who has most connections gives way. Idle ones end by themselves.
  const strangers = new StrangerConnections({ clock, most: maxConnections, expire: false });
  let isEnding = false;
  const server = createServer(
    {
      ...pairOf(authority.credentials()),
      minVersion: 'TLSv1.2',
      maxHeaderSize: 16 << 10,
      handshakeTimeout: 5_000,
      headersTimeout: 5_000,
      connectionsCheckingInterval: 2_000,
      requestTimeout: 10_000,
      keepAliveTimeout: keepAliveMs,
    },
    (request, response) => {
      if (isEnding) response.setHeader('connection', 'close');
      handle(request, response, { ...options, bodies, strangers }, counts).catch((error: unknown) => {
        // Whoever asked is gone.
        if (response.destroyed) return;
        counts.Failed += 1;
        logger.error({ err: asAdaptletError(error, 'injecting a sidecar') }, 'no sidecar was injected');
        say(response, 500, 'no sidecar can be injected now; the log of the operator says why');
      });
    },
  );
  strangers.guard(server);
  const open = openSockets(server);
  const stop = authority.onChange((credentials) => server.setSecureContext(pairOf(credentials)));
  const port = await listenOn(server, address);
  return {
    port,
    counts: () => ({ ...counts }),
    ended: () => strangers.ended,
    close: async () => {
      isEnding = true;
      await new Promise<void>((resolve) => void clock.after(lingerMs, resolve));
      stop();
      const cut = clock.after(graceMs, () => {
        for (const socket of open) socket.destroy();
      });
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeIdleConnections();
      });
      cut();
    },
  };
};

const say = (response: ServerResponse, status: number, text: string): void => {
  if (response.headersSent || response.destroyed) return;
  // What is left of the request is not read.
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
  response.end(`${text}\n`);
};

type Handling = WebhookOptions & { readonly bodies: Bodies; readonly strangers: StrangerConnections };

const handle = async (
  request: IncomingMessage,
  response: ServerResponse,
  { sidecar, denied, publishIn, clock, logger, bodies, strangers }: Handling,
  counts: Record<Injection['kind'], number>,
): Promise<void> => {
  if (request.url?.split('?')[0] !== '/inject' || request.method !== 'POST') {
    return say(response, 404, 'there is POST /inject');
  }
  strangers.asks(request.socket);
  const body = await bodies.read(request);
  if ('status' in body) return say(response, body.status, body.why);
  // Not before: a body takes as long as its sender likes.
  response.once('close', strangers.answers(request.socket));
  const asked = readReview(body.text);
  if ('problem' in asked) return say(response, 400, asked.problem);
  const { uid, namespace, pod, isDryRun } = asked;
  const injection = inject(pod, await sidecar(), denied(namespace));
  if (injection.kind === 'Injected' && !isDryRun) await within(bundleMs, clock, publishIn(namespace));
  counts[injection.kind] += 1;
  const { name, generateName } = pod.metadata;
  const keys = { namespace, pod: name ?? generateName ?? '', result: injection.kind };
  if (injection.kind === 'Refused') logger.info({ ...keys, why: injection.message }, 'a pod was refused');
  else logger.debug(keys, 'a pod was looked at');
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(answerOf(uid, injection)));
};

type Body = { readonly text: string } | { readonly status: number; readonly why: string };

/** Bodies of requests, bounded one by one and all together. */
class Bodies {
  #bytes = 0;

  async read(request: IncomingMessage): Promise<Body> {
    const parts: Buffer[] = [];
    let length = 0;
    try {
      for await (const part of request as AsyncIterable<Buffer>) {
        length += part.length;
        this.#bytes += part.length;
        if (length > maxBodyBytes) return { status: 413, why: `a review has at most ${maxBodyBytes} bytes` };
        if (this.#bytes > maxReadBytes) return { status: 503, why: 'too many reviews are being read' };
        parts.push(part);
      }
      return { text: Buffer.concat(parts).toString('utf8') };
    } finally {
      this.#bytes -= length;
    }
  }
}

const within = async (ms: number, clock: Clock, work: Promise<void>): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = clock.after(ms, resolve);
  await Promise.race([work, promise]);
  stop();
};
