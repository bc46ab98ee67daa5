import { open } from 'node:fs/promises';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Answer, Sent } from './http-client.ts';
import type { PackedBlob } from './pack.ts';
import type { ImageReference } from './reference.ts';
import type { RegistryHttp } from './registry-http.ts';

/** A blob on its way, and who hears how many of its bytes have left. */
export type Sending = {
  readonly digest: Digest;
  readonly blob: PackedBlob;
  /** Another repository of the registry, out of which it may take the blob. */
  readonly mountFrom: string | undefined;
  readonly signal: AbortSignal;
  readonly onSent: (bytes: number) => void;
};

/** Where an upload goes on, and from which byte. The registry says both anew with each answer. */
type Session = { readonly url: URL; readonly have: number; readonly pieceBytes: number };

const chunkBytes = 1 << 20;
/** A cut costs at most this much where the registry tells what it has; smaller pieces cost a round trip more often. */
const defaultPieceBytes = 8 << 20;
const octets = 'application/octet-stream';

/** A part of a file as the body of a request; `heard` is told of each chunk that left. */
const streamOf = (
  path: string,
  { from, to }: { readonly from: number; readonly to: number },
  heard: (bytes: number) => void,
): ReadableStream<Uint8Array> => {
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    await using file = await open(path, 'r');
    for (let at = from; at < to; ) {
      const chunk = new Uint8Array(Math.min(chunkBytes, to - at));
      const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0)
        throw new AdaptletError('ARTIFACT_CHANGED', `${path} became shorter while it was sent`);
      at += bytesRead;
      heard(bytesRead);
      yield chunk.subarray(0, bytesRead);
    }
  };
  return ReadableStream.from(chunks());
};

/** Bytes that a registry has, by its header Range: `0-N`, with N the last one. Nothing and one byte look alike: nothing. */
const haveOf = (range: string | null): number | undefined => {
  const last = /^(?:bytes=)?0-(\d+)$/.exec(range ?? '')?.[1];
  if (last === undefined) return undefined;
  return last === '0' ? 0 : Number(last) + 1;
};

/**
 * A blob of a file, sent to a registry in pieces (distribution specification 1.1, "pushing a blob in chunks"). After a cut the
 * registry is asked what it has, and the upload goes on from there; where it does not say, it begins anew. Distribution 3 says
 * so only where nothing of the piece arrived that was cut. A registry that takes no pieces gets the blob in one request.
 */
export class BlobUpload {
  readonly #http: RegistryHttp;
  readonly #reference: ImageReference;
  readonly #sending: Sending;
  #session: Session | undefined;
  #takesPieces: boolean;
  #furthest = 0;
  /** The last attempt got further than all before. */
  progressed = false;

  constructor(http: RegistryHttp, reference: ImageReference, sending: Sending) {
    this.#http = http;
    this.#reference = reference;
    this.#sending = sending;
    this.#takesPieces = 'path' in sending.blob;
  }

  /**
   * One attempt; the next one goes on where it broke off.
   * @throws REGISTRY_*, ARTIFACT_CHANGED
   */
  async attempt(): Promise<void> {
    this.progressed = false;
    this.#session = this.#session === undefined ? undefined : await this.#ask(this.#session);
    this.#session ??= await this.#begin();
    if (this.#session === undefined) return;
    const { blob } = this.#sending;
    if (!this.#takesPieces || blob.size <= this.#session.pieceBytes) return await this.#whole(this.#session);
    while (this.#session.have < blob.size) {
      const next: Session | undefined = await this.#piece(this.#session);
      if (next === undefined) {
        this.#takesPieces = false;
        this.#session = undefined;
        return await this.attempt();
      }
      this.#session = next;
    }
    await this.#close(this.#session);
  }

  /** Undefined where the registry has the blob already. */
  async #begin(): Promise<Session | undefined> {
    const { digest, mountFrom } = this.#sending;
    await using there = await this.#request(`blobs/${digest}`, { method: 'HEAD', headers: {} });
    if (there.response.status === 200) return undefined;
    const query =
      mountFrom === undefined ? '' : `?${new URLSearchParams({ mount: digest, from: mountFrom }).toString()}`;
    await using started = await this.#request(`blobs/uploads/${query}`, { method: 'POST', headers: {} });
    const { status, headers } = started.response;
    // Where it cannot mount, it begins an upload as ever.
    if (mountFrom !== undefined && status === 201) return undefined;
    const url = locationOf(started);
    if (status !== 202 || url === undefined) {
      const { registry, repository } = this.#reference;
      throw refused(`an upload to ${registry}/${repository}`, status);
    }
    const least = Number(headers.get('oci-chunk-min-length') ?? 0);
    const pieceBytes = Math.max(defaultPieceBytes, Number.isSafeInteger(least) ? least : 0);
    return { url, have: 0, pieceBytes };
  }

  /** What the registry has after a cut; undefined where it does not say: then the upload begins anew. */
  async #ask(session: Session): Promise<Session | undefined> {
    await using answer = await this.#request(session.url, { method: 'GET', headers: {} });
    const { status, headers } = answer.response;
    const have = haveOf(headers.get('range'));
    if (status !== 204 || have === undefined || have > this.#sending.blob.size) return undefined;
    this.#reached(have);
    return { ...session, url: locationOf(answer) ?? session.url, have };
  }

  /** Undefined where the registry does not take it. */
  async #piece(session: Session): Promise<Session | undefined> {
    const { url, have, pieceBytes } = session;
    const to = Math.min(have + pieceBytes, this.#sending.blob.size);
    await using answer = await this.#request(url, {
      method: 'PATCH',
      headers: {
        'content-type': octets,
        'content-length': String(to - have),
        'content-range': `${have}-${to - 1}`,
      },
      body: (heard) => this.#body(have, to, heard),
    });
    const { status, headers } = answer.response;
    const now = haveOf(headers.get('range')) ?? to;
    // What it did not keep all of would be sent again and again.
    if (status < 200 || status > 204 || now !== to) return undefined;
    this.#reached(to);
    return { ...session, url: locationOf(answer) ?? url, have: to };
  }

  #reached(have: number): void {
    this.progressed ||= have > this.#furthest;
    this.#furthest = Math.max(this.#furthest, have);
  }

  async #close({ url }: Session): Promise<void> {
    const headers = { 'content-type': octets, 'content-length': '0' };
    await this.#put(url, headers, () => new Uint8Array(0));
  }

  async #whole({ url }: Session): Promise<void> {
    // What comes of a cut is not to be gone on with.
    this.#session = undefined;
    const { size } = this.#sending.blob;
    const headers = { 'content-type': octets, 'content-length': String(size) };
    await this.#put(url, headers, (heard) => this.#body(0, size, heard));
  }

  async #put(url: URL, headers: Sent['headers'], body: NonNullable<Sent['body']>): Promise<void> {
    const { digest } = this.#sending;
    const to = new URL(url);
    to.searchParams.set('digest', digest);
    await using answer = await this.#request(to, { method: 'PUT', headers, body });
    const { status } = answer.response;
    if (status !== 201) throw refused(`blob ${digest}`, status, await reasonOf(answer));
  }

  #body(from: number, to: number, heard: () => void): ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> {
    const { blob, onSent } = this.#sending;
    if ('bytes' in blob) return new Uint8Array(blob.bytes.subarray(from, to));
    let sent = from;
    return streamOf(blob.path, { from, to }, (bytes) => {
      sent += bytes;
      heard();
      onSent(sent);
    });
  }

  async #request(path: string | URL, sent: Sent): Promise<Answer> {
    return await this.#http.request(this.#reference, path, sent, this.#sending.signal);
  }
}

const locationOf = ({ response }: Answer): URL | undefined => {
  const location = response.headers.get('location');
  return location === null || !URL.canParse(location, response.url)
    ? undefined
    : new URL(location, response.url);
};

/** The registry's own words. */
export const reasonOf = async ({ response }: Answer): Promise<string> =>
  (await response.text().catch(() => '')).trim().slice(0, 300);

export const refused = (what: string, status: number, why = ''): AdaptletError =>
  new AdaptletError(
    'REGISTRY_REFUSED',
    `${what}: the registry answered ${status}${why === '' ? '' : `: ${why}`}`,
  );
