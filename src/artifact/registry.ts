import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { Digest } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Authorization } from './authorizations.ts';
import { digestOf } from './digest.ts';
import { type Descriptor, maxManifestBytes, mediaTypes } from './manifest.ts';
import type { ImageReference } from './reference.ts';
import {
  type Answer,
  type Freshness,
  type Login,
  RegistryHttp,
  type RegistryHttpOptions,
} from './registry-http.ts';
import { type RetryOptions, withRetries } from './retry.ts';

export type RegistryOptions = Omit<RegistryHttpOptions, 'clock'> & RetryOptions;

/** A source that sends less than this between two looks at it drips. */
const leastBytes = 64 * 1024;

type Write = (chunk: Uint8Array, position: number) => Promise<void>;

/** Index types too: a registry then sends the index, and the message can say what it is. */
const accept = [mediaTypes.manifest, mediaTypes.dockerManifest, mediaTypes.index, mediaTypes.dockerList].join(
  ', ',
);

const named = ({ registry, repository }: ImageReference, version: string): string =>
  `${registry}/${repository}${version.startsWith('sha256:') ? '@' : ':'}${version}`;

const readAll = async (answer: Answer, maxBytes: number, what: string): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body) {
    size += chunk.length;
    if (size > maxBytes)
      throw new AdaptletError('ARTIFACT_TOO_LARGE', `${what} has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

const unexpected = (what: string, status: number): AdaptletError =>
  status === 404
    ? new AdaptletError('ARTIFACT_NOT_FOUND', `${what} is not in the registry`)
    : new AdaptletError('REGISTRY_UNAVAILABLE', `${what}: the registry answered ${status}`);

const writeFully = async (file: FileHandle, chunk: Uint8Array, position: number): Promise<void> => {
  for (let done = 0; done < chunk.length; ) {
    done += (await file.write(chunk, done, chunk.length - done, position + done)).bytesWritten;
  }
};

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

  /** The bytes of a manifest, checked against `version` when that is a digest. */
  async manifest(reference: ImageReference, version: string, signal: AbortSignal): Promise<Uint8Array> {
    const what = named(reference, version);
    const bytes = await withRetries(this.#options, signal, async () => {
      await using answer = await this.#http.get(reference, `manifests/${version}`, { accept }, signal);
      if (answer.response.status !== 200) throw unexpected(what, answer.response.status);
      return await readAll(answer, maxManifestBytes, `the manifest of ${what}`);
    });
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

  /**
   * Writes a blob to `path`, of which `have` bytes are there; goes on from there where the registry can. The digest is
   * left to the store, which hashes the file. `onBytes` gets the bytes that the file has, with each {@link leastBytes} and
   * at the end: less is no sign of life.
   */
  async blob(
    reference: ImageReference,
    blob: Descriptor,
    target: { readonly path: string; readonly have: number },
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
  ): Promise<void> {
    await using file = await open(target.path, target.have > 0 ? 'r+' : 'w', 0o600);
    const from = target.have > blob.size ? 0 : target.have;
    const write: Write = (chunk, position) => writeFully(file, chunk, position);
    await this.#read(reference, blob, { from, write }, signal, onBytes);
    await file.truncate(blob.size);
  }

  /** Digest of what the registry sends for a blob. Nothing of it is kept. */
  async hash(
    reference: ImageReference,
    blob: Descriptor,
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
  ): Promise<Digest> {
    let hash = createHash('sha256');
    const write: Write = async (chunk, position) => {
      if (position === 0) hash = createHash('sha256');
      hash.update(chunk);
    };
    await this.#read(reference, blob, { from: 0, write }, signal, onBytes);
    return `sha256:${hash.digest('hex')}` as Digest;
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
    const bytes = new Uint8Array(blob.size);
    const write: Write = async (chunk, position) => bytes.set(chunk, position);
    await this.#read(reference, blob, { from: 0, write }, signal, () => undefined);
    const digest = digestOf(bytes);
    if (digest === blob.digest) return bytes;
    throw new AdaptletError('ARTIFACT_CORRUPT', `blob ${blob.digest} came as ${digest}`);
  }

  /** `write` gets the chunks in order, and from 0 again where the registry begins again. */
  async #read(
    reference: ImageReference,
    blob: Descriptor,
    { from, write }: { readonly from: number; readonly write: Write },
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
  ): Promise<void> {
    let have = from;
    let furthest = have;
    let progressed = false;
    const attempt = async (): Promise<void> => {
      progressed = false;
      if (have < blob.size) {
        await using answer = await this.#open(reference, blob, have, signal);
        have = answer.response.status === 206 ? have : 0;
        let told = have;
        for await (const chunk of answer.body) {
          if (have + chunk.length > blob.size) throw tooLong(blob);
          await write(chunk, have);
          have += chunk.length;
          if (have > furthest) progressed = true;
          furthest = Math.max(furthest, have);
          if (have - told < leastBytes && have < blob.size) continue;
          told = have;
          onBytes(have);
        }
      }
      if (have < blob.size) {
        throw new AdaptletError(
          'REGISTRY_UNAVAILABLE',
          `blob ${blob.digest} ended after ${have} of ${blob.size} bytes`,
        );
      }
    };
    await withRetries(this.#options, signal, attempt, () => progressed);
  }

  async #open(
    reference: ImageReference,
    blob: Descriptor,
    have: number,
    signal: AbortSignal,
  ): Promise<Answer> {
    // With its end: some registries understand no other form.
    const range: Record<string, string> = have > 0 ? { range: `bytes=${have}-${blob.size - 1}` } : {};
    const answer = await this.#http.get(reference, `blobs/${blob.digest}`, range, signal);
    const { status, headers } = answer.response;
    const from = /^bytes (\d+)-/.exec(headers.get('content-range') ?? '')?.[1];
    if (status === 200 || (status === 206 && Number(from) === have)) return answer;
    await answer[Symbol.asyncDispose]();
    // The registry does not resume as it should: from the start.
    if (have > 0 && (status === 206 || status === 416)) return await this.#open(reference, blob, 0, signal);
    throw unexpected(`blob ${blob.digest} of ${reference.registry}/${reference.repository}`, status);
  }
}

const tooLong = (blob: Descriptor): AdaptletError =>
  new AdaptletError('ARTIFACT_CORRUPT', `blob ${blob.digest} came with more than its ${blob.size} bytes`);
