import { once } from 'node:events';
import { open } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type Digest, isDigest } from '../../api/names.ts';
import type { PeerDesk } from '../../artifact/peer-desk.ts';
import type { PeerWord } from '../../artifact/peer-site.ts';
import { type PeerGrant, readGrantUri, uriOf } from '../../control/peer-names.ts';
import { errnoOf } from '../../errors/errno.ts';
import { listenOn, openSockets } from '../../settings/address.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Bandwidth } from '../../time/bandwidth.ts';
import type { Clock } from '../../time/clock.ts';
import type { PeerHoldings, StoredFile } from './holdings.ts';
import { rangeOf, sendFile } from './send-file.ts';

/** Headers of an answer about a blob that is not here: what becomes of it. */
export const stateHeader = 'adaptlet-state';
export const bytesHeader = 'adaptlet-bytes';

/** Blobs that are sent at a time: to all, and to one runtime. */
const most = { all: 4, each: 2 };
/** Connections at a time, more than a site has runtimes; each costs a handshake before anything is known of it. */
const maxConnections = 256;
const times = { handshakeMs: 10_000, headersMs: 10_000, idleMs: 30_000, drainMs: 10_000 };

/** What this runtime shows, and by what it verifies who asks; PEM. */
export type PeerCredential = {
  readonly certificate: string;
  readonly key: string;
  readonly authorities: string;
  readonly site: string;
};

export type PeerServerParts = {
  readonly desk: PeerDesk;
  /** Undefined until there is a disk. */
  readonly holdings: () => PeerHoldings | undefined;
  /** What this node has under a tag of a repository, for a namespace. */
  readonly tagged: (namespace: string, source: string, tag: string) => Digest | undefined;
  readonly bandwidth: Bandwidth;
  readonly sent: (bytes: number) => void;
  readonly clock: Clock;
  readonly log: Log;
};

type Asked = {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly grant: PeerGrant;
};

/**
 * Gives blobs and manifests to other runtimes of the site: the pull part of the OCI distribution specification 1.1, read-only, for what
 * the certificate of who asks is for. Before there is a certificate of its own nobody gets a connection.
 */
export class PeerServer {
  readonly port: number;
  readonly #server: Server;
  readonly #connections: ReadonlySet<Socket>;
  readonly #parts: PeerServerParts;
  /** Blobs on their way, by runtime. */
  readonly #sending = new Map<string, number>();
  #site = '';

  /** @throws CONFIG_INVALID when the address cannot be listened on */
  static async listen(address: string, parts: PeerServerParts): Promise<PeerServer> {
    const server = createServer({
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: times.handshakeMs,
      headersTimeout: times.headersMs,
      requestTimeout: times.headersMs,
      keepAliveTimeout: times.idleMs,
      maxHeaderSize: 8192,
    });
    server.maxConnections = maxConnections;
    const connections = openSockets(server);
    const port = await listenOn(server, address);
    return new PeerServer({ server, connections, port }, parts);
  }

  private constructor(
    { server, connections, port }: { server: Server; connections: ReadonlySet<Socket>; port: number },
    parts: PeerServerParts,
  ) {
    this.#server = server;
    this.#connections = connections;
    this.#parts = parts;
    this.port = port;
    server.on('request', (request, response) => void this.#answer(request, response));
    // Handshakes that fail are those of strangers.
    server.on('tlsClientError', (error) =>
      parts.log.debug({ err: error }, 'a connection of no peer was ended'),
    );
  }

  /** From here on it answers with this certificate; connections that are open go on. */
  show({ certificate: cert, key, authorities: ca, site }: PeerCredential): void {
    this.#site = site;
    this.#server.setSecureContext({ cert, key, ca, minVersion: 'TLSv1.3' });
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // Nobody sends anything here.
    request.resume();
    try {
      const grant = grantOf(request, this.#parts.clock.now());
      if (grant === undefined || grant.site !== this.#site)
        problem(response, 403, 'DENIED', 'the certificate is for no runtime of this site');
      else await this.#route({ request, response, grant });
    } catch (error) {
      this.#parts.log.debug({ err: error }, 'a blob was not sent to the end');
      // What was begun cannot be taken back: the other side sees that it is short.
      if (response.headersSent) response.destroy();
      else problem(response, 500, 'UNKNOWN', 'it cannot be read here');
    }
  }

  async #route(asked: Asked): Promise<void> {
    const { request, response, grant } = asked;
    const { pathname, searchParams } = new URL(request.url ?? '', 'https://peer');
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return problem(response, 404, 'UNSUPPORTED', 'nothing is written here');
    if (pathname === '/v2/') return json(response, 200, '{}');
    const [, name, kind, reference = ''] = /^\/v2\/(.+)\/(blobs|manifests)\/([^/]+)$/.exec(pathname) ?? [];
    if (name === undefined) return problem(response, 404, 'NAME_UNKNOWN', 'there is no such path');
    // As mirrors of containerd say whose repository is meant.
    const registry = searchParams.get('ns')?.toLowerCase();
    const source = grant.source.slice(grant.source.indexOf(':') + 1);
    const isGranted = source.slice(source.indexOf('/') + 1) === name;
    if (!isGranted || (registry !== undefined && source !== `${registry}/${name}`))
      return problem(response, 404, 'NAME_UNKNOWN', 'the certificate is for another repository');
    await (kind === 'blobs' ? this.#blob(asked, reference) : this.#manifest(asked, reference));
  }

  async #manifest({ request, response, grant }: Asked, reference: string): Promise<void> {
    const { tagged, holdings } = this.#parts;
    const digest = isDigest(reference) ? reference : tagged(grant.namespace, grant.source, reference);
    const bytes = digest && (await holdings()?.manifest(grant, digest));
    if (digest === undefined || bytes === undefined)
      return problem(response, 404, 'MANIFEST_UNKNOWN', 'it is not here');
    response.writeHead(200, {
      'content-type': mediaTypeOf(bytes),
      'content-length': bytes.length,
      'docker-content-digest': digest,
    });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  }

  async #blob(asked: Asked, digest: string): Promise<void> {
    const { request, response, grant } = asked;
    if (!isDigest(digest)) return problem(response, 400, 'DIGEST_INVALID', 'it is no sha256 digest');
    const stored = this.#parts.holdings()?.blob(grant, digest);
    if (stored === undefined) {
      const word = this.#parts.desk.answer(grant, digest, grant.runtime);
      return problem(response, 404, 'BLOB_UNKNOWN', 'it is not here', headersOf(word));
    }
    const head = { ...headersOf({ state: 'here', bytes: stored.bytes }), 'docker-content-digest': digest };
    if (request.method === 'GET') return await this.#send(asked, stored, head);
    response.writeHead(200, { ...ofBytes(stored.bytes), ...head });
    response.end();
  }

  async #send({ request, response, grant }: Asked, stored: StoredFile, head: Headers): Promise<void> {
    const { runtime } = grant;
    const own = this.#sending.get(runtime) ?? 0;
    const all = [...this.#sending.values()].reduce((sum, count) => sum + count, 0);
    if (own >= most.each || all >= most.all || this.#parts.bandwidth.bytesPerSecond <= 0) {
      const later = { 'retry-after': '1' };
      return problem(response, 429, 'TOOMANYREQUESTS', 'it sends to others now', later);
    }
    this.#sending.set(runtime, own + 1);
    try {
      await using file = await open(stored.path, 'r');
      const range = rangeOf(request.headers.range, stored.bytes);
      if (range === undefined) {
        const beyond = { 'content-range': `bytes */${stored.bytes}` };
        return problem(response, 416, 'SIZE_INVALID', 'it has less', beyond);
      }
      const part = range === 'whole' ? { from: 0, to: stored.bytes - 1 } : range;
      const { from, to } = part;
      const partial = range === 'whole' ? {} : { 'content-range': `bytes ${from}-${to}/${stored.bytes}` };
      response.writeHead(range === 'whole' ? 200 : 206, { ...ofBytes(to - from + 1), ...head, ...partial });
      await sendFile(file, part, response, { ...this.#parts, drainMs: times.drainMs });
    } catch (error) {
      // It was removed just now.
      if (errnoOf(error) !== 'ENOENT') throw error;
      problem(response, 404, 'BLOB_UNKNOWN', 'it is not here any more');
    } finally {
      const left = (this.#sending.get(runtime) ?? 1) - 1;
      if (left > 0) this.#sending.set(runtime, left);
      else this.#sending.delete(runtime);
    }
  }
}

type Headers = Readonly<Record<string, string | number>>;

/** The certificate was verified by TLS when the connection began; undefined: it is for something else, or over. */
const grantOf = ({ socket }: IncomingMessage, now: number): PeerGrant | undefined => {
  const tls = socket as TLSSocket;
  const { subjectaltname, valid_to: end } = tls.getPeerCertificate();
  const uri = uriOf(subjectaltname);
  return !tls.authorized || uri === undefined || !(now < Date.parse(end)) ? undefined : readGrantUri(uri);
};

const ofBytes = (bytes: number): Headers => ({
  'content-type': 'application/octet-stream',
  'content-length': bytes,
  'accept-ranges': 'bytes',
});

const headersOf = ({ state, bytes }: PeerWord): Headers => ({ [stateHeader]: state, [bytesHeader]: bytes });

const json = (response: ServerResponse, status: number, body: string, headers: Headers = {}): void => {
  const length = Buffer.byteLength(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': length, ...headers });
  response.end(response.req.method === 'HEAD' ? undefined : body);
};

/** As the distribution specification writes errors. */
const problem = (
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  headers: Headers = {},
): void => json(response, status, JSON.stringify({ errors: [{ code, message }] }), headers);

/** As the manifest says itself; it was read when it came. */
const mediaTypeOf = (manifest: Uint8Array): string => {
  const { mediaType } = JSON.parse(Buffer.from(manifest).toString('utf8')) as {
    readonly mediaType?: unknown;
  };
  return typeof mediaType === 'string' && /^[\w.+/-]{1,200}$/.test(mediaType)
    ? mediaType
    : 'application/vnd.oci.image.manifest.v1+json';
};
