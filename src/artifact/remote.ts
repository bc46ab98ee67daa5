import { type Digest, namespaceOf } from '../api/names.ts';
import type { Source } from '../api/source.ts';
import { removeAll } from '../disk/durable.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Admission, Sender } from './admission.ts';
import { type Claim, hubSource, urlSource } from './claims.ts';
import type { DiskThread } from './disk-thread.ts';
import type { Gathered } from './gathered.ts';
import type { Grants } from './grants.ts';
import { HttpClient } from './http-client.ts';
import { askHttp } from './http-source.ts';
import { askHub } from './hub-source.ts';
import { parseManifest } from './manifest.ts';
import { packFolder } from './pack.ts';
import { checkDigest, takePacked } from './path-source.ts';
import type { RegistryOptions } from './registry.ts';
import type { Asking, RemoteFiles } from './remote-files.ts';
import { type SourceCredential, SourceHttp } from './source-http.ts';
import type { ContentStore } from './store.ts';
import { asStoreError } from './store-files.ts';
import { arrivalOf, type FetchOptions, type Wish } from './wish.ts';

export type RemoteOptions = {
  readonly store: ContentStore;
  readonly disk: DiskThread;
  readonly grants: Grants;
  readonly admission: Admission;
  /** How servers are spoken to. */
  readonly transfer: RegistryOptions;
  /** Of huggingFace sources. */
  readonly hubEndpoint: string;
  readonly credentialFor: (wish: Wish) => SourceCredential | undefined;
  readonly fetchFor: (wish: Wish) => typeof fetch;
};

/** What a source that is no registry has to do with grants: who may read is decided by it. Undefined: it is none of these. */
export const remoteSource = ({ http, huggingFace }: Source, hubEndpoint: string): string | undefined => {
  if (http !== undefined) return urlSource(http.url);
  return huggingFace === undefined ? undefined : hubSource(hubEndpoint, huggingFace.repo);
};

/** Asks the source for what it has. */
export const askRemote = async (
  source: Source,
  hubEndpoint: string,
  asking: Asking,
): Promise<RemoteFiles> => {
  if (source.http !== undefined) return await askHttp(source.http, asking);
  if (source.huggingFace !== undefined) return await askHub(source.huggingFace, hubEndpoint, asking);
  throw new AdaptletError('INTERNAL', 'the source is none of a web server or a hub');
};

type Coming = {
  readonly files: RemoteFiles;
  readonly gathered: Gathered;
  readonly expected: Digest | undefined;
};

/** What was made of a source that had so many bytes. */
type Made = { readonly digest: Digest; readonly bytes: number };

/** Sources of which it is remembered what was made of them. */
const maxPacked = 1024;

/** Brings files of web servers and hubs to the store, packed as `packFolder` does: into the manifest that a push of them has. */
export class RemoteSources {
  readonly #options: RemoteOptions;
  /** What was made of sources, by what they mean. */
  readonly #packed = new Map<string, Made>();

  constructor(options: RemoteOptions) {
    this.#options = options;
  }

  /**
   * Brings an artifact and grants it. `source`: of {@link remoteSource}.
   * @throws those of sources, DIGEST_MISMATCH, and as `ContentStore.add`
   */
  async fetch(
    wish: Wish,
    source: string,
    expected: Digest | undefined,
    fetchOptions: FetchOptions,
  ): Promise<Digest> {
    const { signal, onProgress, admit, onReserved } = fetchOptions;
    const { store, disk, admission, transfer, hubEndpoint } = this.#options;
    const { credentialFor, fetchFor } = this.#options;
    const client = new HttpClient({ ...transfer, fetch: fetchFor(wish) });
    const received = new Map<Digest, number>();
    let totalBytes = 0;
    const asking: Asking = {
      http: new SourceHttp(client, credentialFor(wish), transfer.clock),
      transfer,
      disk,
      limits: store.limits,
      signal,
      onBytes: (blob, bytes) => {
        received.set(blob, bytes);
        const receivedBytes = [...received.values()].reduce((sum, one) => sum + one, 0);
        onProgress?.({ receivedBytes, totalBytes });
      },
    };
    const claim: Claim = { namespace: namespaceOf(wish.key), source };
    const files = await askRemote(wish.source, hubEndpoint, asking);
    totalBytes = files.bytes;
    const pin = pinOf(wish.source);
    const made = this.#packed.get(pin);
    // What is here may be used only by who may read it there.
    if (made !== undefined || store.bytesHere(files.blobs) > 0) await files.prove();
    // A server that answers with a page to log in has not shown its file.
    if (made?.bytes === files.bytes) {
      const known = await this.#known(claim, made.digest, expected, fetchOptions);
      if (known !== undefined) return known;
    }
    // The digest is known once the files are here; until then they count as what the source calls them.
    const first = expected ?? files.blobs[0]?.digest;
    const missingBytes = Math.max(0, files.bytes - store.bytesHere(files.blobs));
    if (first !== undefined) await admit?.({ digest: first, bytes: files.bytes, missingBytes });
    const { write, hash } = files;
    const sender = { claim, write, hash, onReserved };
    await using gathered = await admission.gather(sender, files.blobs, signal);
    try {
      const digest = await this.#pack(sender, wish, { files, gathered, expected }, fetchOptions);
      gathered.done();
      await admission.settled(files.blobs, source);
      this.#remember(pin, { digest, bytes: files.bytes });
      return digest;
    } catch (error) {
      // What is refused for good takes no room.
      if (error instanceof AdaptletError && error.retry === 'AfterChange') gathered.done();
      throw error;
    }
  }

  async #pack(
    { claim, onReserved }: Sender,
    { source }: Wish,
    { files, gathered, expected }: Coming,
    { signal, admit }: FetchOptions,
  ): Promise<Digest> {
    const { store, disk, admission } = this.#options;
    const folder = await this.#lay(files, gathered, placeOf(source));
    const packed = await packFolder(folder, { disk, limits: store.limits, signal });
    checkDigest(packed.digest, expected, placeOf(source));
    const { manifest, digest } = packed;
    await admit?.(arrivalOf(store, parseManifest(manifest, store.limits, digest), digest));
    return await admission.add({ claim, manifest, write: takePacked(packed), onReserved }, signal);
  }

  async #lay(files: RemoteFiles, gathered: Gathered, where: string): Promise<string> {
    const { store } = this.#options;
    const room = store.freeBytes;
    try {
      return await files.lay(gathered, room);
    } catch (error) {
      const isFull =
        error instanceof AdaptletError && error.code === 'ARTIFACT_TOO_LARGE' && room < store.limits.maxBytes;
      if (isFull) await store.clearLeftovers();
      if (isFull && store.freeBytes > room) {
        await removeAll(gathered.folder);
        return await this.#lay(files, gathered, where);
      }
      throw isFull
        ? new AdaptletError('STORE_FULL', `${where}: ${error.what}, as much as the budget has`, {
            cause: error,
          })
        : asStoreError(error, `unpacking ${where}`);
    }
  }

  #remember(pin: string, made: Made): void {
    this.#packed.delete(pin);
    this.#packed.set(pin, made);
    for (const oldest of this.#packed.keys()) {
      if (this.#packed.size <= maxPacked) break;
      this.#packed.delete(oldest);
    }
  }

  /** What came from there for another namespace, once the source has answered for this one. `digest`: what was made of it. */
  async #known(
    claim: Claim,
    digest: Digest,
    expected: Digest | undefined,
    { signal, admit }: Pick<FetchOptions, 'signal' | 'admit'>,
  ): Promise<Digest | undefined> {
    const { store, grants, admission } = this.#options;
    if ((expected ?? digest) !== digest) return undefined;
    const found = store.stored(digest);
    if (found === undefined || !grants.of(digest).some(({ source }) => source === claim.source))
      return undefined;
    const manifest = await store.manifest(digest);
    await admit?.({ digest, bytes: found.bytes, missingBytes: 0 });
    const gone = async (): Promise<never> => {
      throw new AdaptletError('ARTIFACT_NOT_STORED', `${digest} was removed meanwhile`);
    };
    return await admission.add({ claim, manifest, write: gone, hash: gone }, signal);
  }
}

/** For messages: a query may be a password. */
const placeOf = ({ http, huggingFace }: Source): string => {
  if (http === undefined) return `${huggingFace?.repo}@${huggingFace?.revision}`;
  const { origin, pathname } = new URL(http.url);
  return `${origin}${pathname}`;
};

/** What says which files a source means, whoever asks. */
const pinOf = ({ http, huggingFace }: Source): string =>
  JSON.stringify(
    http === undefined
      ? [huggingFace?.repo, huggingFace?.revision, huggingFace?.subfolder]
      : [http.url, http.sha256, http.archive],
  );
