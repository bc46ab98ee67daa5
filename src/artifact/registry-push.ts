import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { BlobUpload, reasonOf, refused } from './blob-upload.ts';
import { digestOf } from './digest.ts';
import { mediaTypes } from './manifest.ts';
import type { Packed } from './pack.ts';
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

/**
 * Pushes to OCI registries (distribution specification 1.1) the blobs that are missing; one that broke off goes on.
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
      const upload = new BlobUpload(this.#http, reference, { digest, blob, mountFrom, signal, onSent });
      await withRetries(this.#options, signal, () => upload.attempt(), {
        host: reference.registry,
        progressed: () => upload.progressed,
      });
      done += blob.size;
      onProgress?.({ sentBytes: done, totalBytes });
    }
    const { digest, manifest } = packed;
    await this.#manifest(
      reference,
      reference.tag ?? digest,
      { digest, manifest, type: mediaTypes.manifest },
      signal,
    );
    return packed.digest;
  }

  /** Puts an index under a tag. */
  async index(reference: ImageReference, tag: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#manifest(
      reference,
      tag,
      { manifest: bytes, digest: digestOf(bytes), type: mediaTypes.index },
      signal,
    );
  }

  async #manifest(
    reference: ImageReference,
    version: string,
    { digest, manifest, type }: { digest: Digest; manifest: Uint8Array; type: string },
    signal: AbortSignal,
  ): Promise<void> {
    await withRetries(this.#options, signal, async () => {
      await using answer = await this.#http.request(
        reference,
        `manifests/${version}`,
        {
          method: 'PUT',
          headers: { 'content-type': type },
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
}
