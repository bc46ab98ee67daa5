import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Authorization } from './authorizations.ts';
import { digestOf } from './digest.ts';
import { readAll } from './http-client.ts';
import { type Descriptor, maxManifestBytes, mediaTypes, onlyArtifact } from './manifest.ts';
import type { ImageReference } from './reference.ts';
import { type Freshness, type Login, RegistryHttp, type RegistryHttpOptions } from './registry-http.ts';
import { withRetries } from './retry.ts';
import {
  type Download,
  digestOfDownload,
  downloadSmall,
  downloadTo,
  type TransferOptions,
} from './transfer.ts';

export type RegistryOptions = Omit<RegistryHttpOptions, 'clock'> & TransferOptions;

/** Index types too: a registry then sends the index, and the message can say what it is. */
const accept = [mediaTypes.manifest, mediaTypes.dockerManifest, mediaTypes.index, mediaTypes.dockerList].join(
  ', ',
);

const named = ({ registry, repository }: ImageReference, version: string): string =>
  `${registry}/${repository}${version.startsWith('sha256:') ? '@' : ':'}${version}`;

const unexpected = (what: string, status: number): AdaptletError =>
  status === 404
    ? new AdaptletError('ARTIFACT_NOT_FOUND', `${what} is not in the registry`)
    : new AdaptletError('REGISTRY_UNAVAILABLE', `${what}: the registry answered ${status}`);

/**
 * Pulls from OCI registries (distribution specification 1.1): manifests by tag or digest, blobs with resume.
 * @throws REGISTRY_*, ARTIFACT_NOT_FOUND, ARTIFACT_TOO_LARGE, DIGEST_MISMATCH, ARTIFACT_CORRUPT
 */
export class Registry {
  readonly #http: RegistryHttp;
  readonly #options: RegistryOptions;

  /** `http`: of another, see `as`. */
  constructor(options: RegistryOptions, http = new RegistryHttp(options)) {
    this.#http = http;
    this.#options = options;
  }

  /** The same for somebody else, as {@link RegistryHttp.as}. */
  as(login: Login | undefined, through?: typeof fetch): Registry {
    return new Registry(this.#options, this.#http.as(login, through));
  }

  /**
   * An authorization with which the manifest can be read now, as {@link RegistryHttp.authorization} gives it. It is for the
   * repository.
   */
  async authorization(
    reference: ImageReference,
    version: string,
    known: Freshness,
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    return await this.#http.authorization(reference, `manifests/${version}`, known, { accept }, signal);
  }

  /** The authorization that {@link authorization} gives without a request. */
  remembered(reference: ImageReference, known: Freshness): Authorization | undefined {
    return this.#http.remembered(reference, known);
  }

  /**
   * The bytes of a manifest, checked against `version` when that is a digest. A tag of an index that lists one artifact means
   * that one: builders write such an index for a single image.
   */
  async manifest(reference: ImageReference, version: string, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await this.#manifest(reference, version, signal);
    if (version.startsWith('sha256:')) return bytes;
    const only = onlyArtifact(bytes);
    return only === undefined ? bytes : await this.#manifest(reference, only, signal);
  }

  async #manifest(reference: ImageReference, version: string, signal: AbortSignal): Promise<Uint8Array> {
    const what = named(reference, version);
    const attempt = async (): Promise<Uint8Array> => {
      await using answer = await this.#http.get(reference, `manifests/${version}`, { accept }, signal);
      if (answer.response.status !== 200) throw unexpected(what, answer.response.status);
      return await readAll(answer, maxManifestBytes, `the manifest of ${what}`);
    };
    const bytes = await withRetries(this.#options, signal, attempt, { host: reference.registry });
    const digest = digestOf(bytes);
    if (version.startsWith('sha256:') && digest !== version) {
      throw new AdaptletError('DIGEST_MISMATCH', `${what} came as ${digest}`, {
        advice: 'Check the registry, and the proxy before it: it sends other bytes than those asked for.',
      });
    }
    return bytes;
  }

  /**
   * A small document below `/v2/<repository>/`, and its header Link; undefined where the registry has none, or does not know
   * such paths. Nothing of it is checked.
   */
  async document(
    reference: ImageReference,
    path: string,
    { accept: type, maxBytes }: { readonly accept: string; readonly maxBytes: number },
    signal: AbortSignal,
  ): Promise<{ readonly bytes: Uint8Array; readonly link: string | null } | undefined> {
    const what = `${reference.registry}/${reference.repository}: ${path}`;
    return await withRetries(this.#options, signal, async () => {
      await using answer = await this.#http.get(reference, path, { accept: type }, signal);
      const { status, headers } = answer.response;
      if ([400, 404, 405].includes(status)) return undefined;
      if (status !== 200) throw unexpected(what, status);
      return { bytes: await readAll(answer, maxBytes, what), link: headers.get('link') };
    });
  }

  /** The digest that a tag has now, or undefined when there is no such tag. */
  async resolve(reference: ImageReference, tag: string, signal: AbortSignal): Promise<Digest | undefined> {
    try {
      return digestOf(await this.manifest(reference, tag, signal));
    } catch (error) {
      if (error instanceof AdaptletError && error.code === 'ARTIFACT_NOT_FOUND') return undefined;
      throw error;
    }
  }

  /** Writes a blob to `path`, as {@link downloadTo}. */
  async blob(
    reference: ImageReference,
    blob: Descriptor,
    target: { readonly path: string; readonly have: number },
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
  ): Promise<void> {
    await downloadTo(this.#download(reference, blob, signal, onBytes), target, this.#options);
  }

  /** Digest of what the registry sends for a blob. Nothing of it is kept. */
  async hash(
    reference: ImageReference,
    blob: Descriptor,
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
  ): Promise<Digest> {
    return await digestOfDownload(this.#download(reference, blob, signal, onBytes), this.#options);
  }

  /**
   * A small blob in memory, checked against its digest.
   * @throws ARTIFACT_TOO_LARGE over `maxBytes`; ARTIFACT_CORRUPT
   */
  async small(
    reference: ImageReference,
    blob: Descriptor,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    if (blob.size > maxBytes)
      throw new AdaptletError('ARTIFACT_TOO_LARGE', `blob ${blob.digest} has ${blob.size} bytes`);
    const download = this.#download(reference, blob, signal, () => undefined);
    const bytes = await downloadSmall(download, this.#options);
    const digest = digestOf(bytes);
    if (digest === blob.digest) return bytes;
    throw new AdaptletError('ARTIFACT_CORRUPT', `blob ${blob.digest} came as ${digest}`);
  }

  #download(
    reference: ImageReference,
    blob: Descriptor,
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
  ): Download {
    const { registry, repository } = reference;
    return {
      blob,
      what: `blob ${blob.digest}`,
      host: registry,
      ask: (headers) => this.#http.get(reference, `blobs/${blob.digest}`, headers, signal),
      unexpected: (status) => unexpected(`blob ${blob.digest} of ${registry}/${repository}`, status),
      signal,
      onBytes,
    };
  }
}
