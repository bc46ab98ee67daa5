import { open } from 'node:fs/promises';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Answer } from './http-client.ts';
import { mediaTypes } from './manifest.ts';
import type { Packed, PackedBlob } from './pack.ts';
import { checkDigest } from './path-source.ts';
import type { ImageReference } from './reference.ts';
import type { RegistryOptions } from './registry.ts';
import { RegistryHttp } from './registry-http.ts';
import { withRetries } from './retry.ts';

export type PushProgress = {
  /** Bytes that the registry has, those included that it had before. */
  readonly sentBytes: number;
  readonly totalBytes: number;
};

export type PushOptions = {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: PushProgress) => void;
  /** Another repository of the registry, out of which it may take blobs that it has there. */
  readonly mountFrom?: string | undefined;
};

type Sending = {
  readonly digest: Digest;
  readonly blob: PackedBlob;
  readonly mountFrom: string | undefined;
};

const chunkBytes = 1 << 20;

/** A file as the body of a request; `heard` is told of each piece that left. */
const streamOf = (path: string, size: number, heard: (bytes: number) => void): ReadableStream<Uint8Array> => {
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    await using file = await open(path, 'r');
    for (let at = 0; at < size; ) {
      const piece = new Uint8Array(Math.min(chunkBytes, size - at));
      const { bytesRead } = await file.read(piece, 0, piece.length, at);
      if (bytesRead === 0)
        throw new AdaptletError('ARTIFACT_CHANGED', `${path} became shorter while it was sent`);
      at += bytesRead;
      heard(bytesRead);
      yield piece.subarray(0, bytesRead);
    }
  };
  return ReadableStream.from(pieces());
};

/**
 * Pushes to OCI registries (distribution specification 1.1): each blob in one request, those that are missing only.
 * @throws REGISTRY_*, DIGEST_MISMATCH, ARTIFACT_CHANGED
 */
export class RegistryPush {
  readonly #http: RegistryHttp;
  readonly #options: RegistryOptions;

  constructor(options: RegistryOptions) {
    this.#http = new RegistryHttp(options);
    this.#options = options;
  }

  /** Pushes blobs, then the manifest, under the tag of the reference if it has one. Resolves with the digest. */
  async push(
    reference: ImageReference,
    packed: Packed,
    { signal, onProgress, mountFrom }: PushOptions,
  ): Promise<Digest> {
    checkDigest(packed.digest, reference.digest, 'what is to be pushed');
    const totalBytes = [...packed.blobs.values()].reduce((sum, { size }) => sum + size, 0);
    let done = 0;
    for (const [digest, blob] of packed.blobs) {
      const onSent = (sent: number): void => onProgress?.({ sentBytes: done + sent, totalBytes });
      await this.#blob(reference, { digest, blob, mountFrom }, signal, onSent);
      done += blob.size;
      onProgress?.({ sentBytes: done, totalBytes });
    }
    await this.#manifest(reference, packed, signal);
    return packed.digest;
  }

  async #blob(
    reference: ImageReference,
    { digest, blob, mountFrom }: Sending,
    signal: AbortSignal,
    onSent: (bytes: number) => void,
  ): Promise<void> {
    await withRetries(this.#options, signal, async () => {
      const there = await this.#ask(reference, `blobs/${digest}`, 'HEAD', signal);
      if (there.status === 200) return;
      const mount =
        mountFrom === undefined
          ? ''
          : `?${new URLSearchParams({ mount: digest, from: mountFrom }).toString()}`;
      const started = await this.#ask(reference, `blobs/uploads/${mount}`, 'POST', signal);
      // Where it cannot mount, it begins an upload as ever.
      if (mount !== '' && started.status === 201) return;
      if (started.status !== 202 || started.location === undefined)
        throw refused(`an upload to ${reference.registry}/${reference.repository}`, started.status);
      const url = started.location;
      url.searchParams.set('digest', digest);
      await using answer = await this.#http.request(
        reference,
        url,
        {
          method: 'PUT',
          headers: {
            'content-type': 'application/octet-stream',
            'content-length': String(blob.size),
          },
          body: (heard) => {
            if ('bytes' in blob) return new Uint8Array(blob.bytes);
            let sent = 0;
            return streamOf(blob.path, blob.size, (bytes) => {
              sent += bytes;
              heard();
              onSent(sent);
            });
          },
        },
        signal,
      );
      const { status } = answer.response;
      if (status !== 201) throw refused(`blob ${digest}`, status, await reasonOf(answer));
    });
  }

  async #manifest(
    reference: ImageReference,
    { digest, manifest }: Packed,
    signal: AbortSignal,
  ): Promise<void> {
    const version = reference.tag ?? digest;
    await withRetries(this.#options, signal, async () => {
      await using answer = await this.#http.request(
        reference,
        `manifests/${version}`,
        {
          method: 'PUT',
          headers: { 'content-type': mediaTypes.manifest },
          body: () => new Uint8Array(manifest),
        },
        signal,
      );
      const { status, headers } = answer.response;
      if (status !== 201) throw refused(`the manifest ${version}`, status, await reasonOf(answer));
      const stored = headers.get('docker-content-digest') ?? digest;
      if (stored === digest) return;
      throw new AdaptletError('DIGEST_MISMATCH', `the registry stored ${digest} as ${stored}`, {
        advice: 'Push to another registry: this one changes what is pushed to it.',
      });
    });
  }

  async #ask(
    reference: ImageReference,
    path: string,
    method: 'HEAD' | 'POST',
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly location: URL | undefined }> {
    await using answer = await this.#http.request(reference, path, { method, headers: {} }, signal);
    const { status, headers } = answer.response;
    const location = headers.get('location');
    const base = answer.response.url;
    return { status, location: location === null ? undefined : new URL(location, base) };
  }
}

const reasonOf = async ({ response }: Answer): Promise<string> =>
  (await response.text().catch(() => '')).trim().slice(0, 300);

const refused = (what: string, status: number, why = ''): AdaptletError =>
  new AdaptletError(
    'REGISTRY_REFUSED',
    `${what}: the registry answered ${status}${why === '' ? '' : `: ${why}`}`,
  );
