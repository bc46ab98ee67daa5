import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import type { Digest } from '../api/names.ts';
import { type ArchiveKind, archiveOf, type HttpSource } from '../api/source.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Answer } from './http-client.ts';
import type { Compression } from './layers.ts';
import type { Descriptor } from './manifest.ts';
import { type Asking, checkSize, folderOfAdapter, type RemoteFiles } from './remote-files.ts';
import { withRetries } from './retry.ts';
import { type Download, digestOfDownload, downloadTo } from './transfer.ts';

const compressions: Readonly<Record<ArchiveKind, Compression | 'zip'>> = {
  tar: 'none',
  'tar.gz': 'gzip',
  'tar.zst': 'zstd',
  zip: 'zip',
};

/** An address for messages: a query may be a password. */
const placeOf = ({ origin, pathname }: URL): string => `${origin}${pathname}`;

const unexpected = (url: URL, status: number): AdaptletError =>
  status === 404 || status === 410
    ? new AdaptletError('ARTIFACT_NOT_FOUND', `${placeOf(url)} is not there`, {
        advice: 'Check spec.source.http.url. Some servers say this of a file that may not be read.',
      })
    : new AdaptletError('REGISTRY_UNAVAILABLE', `${placeOf(url)} answered ${status}`);

/** Bytes of the file, from the answer to a request for its first one: not every server takes HEAD. */
const sizeIn = ({ response }: Answer, url: URL): number => {
  const { status, headers } = response;
  const text =
    status === 206
      ? /^bytes \d+-\d+\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1]
      : status === 200
        ? headers.get('content-length')
        : undefined;
  if (text !== undefined && text !== null && /^\d+$/.test(text)) return Number(text);
  if (status !== 200 && status !== 206) throw unexpected(url, status);
  throw new AdaptletError(
    'SOURCE_UNUSABLE',
    `${placeOf(url)}: the server does not say how long the file is`,
    {
      advice:
        'Serve the file from a server that sends Content-Length: a file, not something made on request.',
    },
  );
};

/**
 * Asks a web server for a file: how long it is, and how it is downloaded. `digest` stands for it where bytes are counted.
 * @throws ARTIFACT_NOT_FOUND, ARTIFACT_TOO_LARGE, SOURCE_UNUSABLE, and as of `SourceHttp.get`
 */
export const askFile = async (url: URL, digest: Digest, asking: Asking): Promise<Download> => {
  const { http, transfer, limits, signal, onBytes } = asking;
  const { host } = url;
  const attempt = async (): Promise<number> => {
    await using answer = await http.get(url, { range: 'bytes=0-0' }, signal);
    return sizeIn(answer, url);
  };
  const size = await withRetries(transfer, signal, attempt, { host });
  checkSize(size, limits, placeOf(url));
  return {
    blob: { digest, size },
    what: placeOf(url),
    host,
    ask: (headers) => http.get(url, headers, signal),
    unexpected: (status) => unexpected(url, status),
    signal,
    onBytes: (bytes) => onBytes(digest, bytes),
  };
};

/**
 * Unpacks an archive into a new folder. Resolves with the folder in it that has the adapter.
 * @throws those of archives
 */
export const unpackAdapter = async (
  archive: { readonly path: string; readonly kind: ArchiveKind; readonly name: string },
  { folder, maxBytes }: { readonly folder: string; readonly maxBytes: number },
  { disk, limits, signal }: Pick<Asking, 'disk' | 'limits' | 'signal'>,
): Promise<string> => {
  await mkdir(folder, { recursive: true });
  const compression = compressions[archive.kind];
  const bounds = { maxBytes: Math.min(maxBytes, limits.maxBytes), maxFiles: limits.maxFiles };
  await disk.extract({ archive: archive.path, compression, target: folder, ...bounds }, signal);
  return await folderOfAdapter(folder, archive.name);
};

/**
 * Asks a web server for an archive with the files of an adapter. Its sha256 is its digest as a blob, so that a download goes on where
 * it broke off.
 * @throws as {@link askFile}
 */
export const askHttp = async (source: HttpSource, asking: Asking): Promise<RemoteFiles> => {
  const { transfer } = asking;
  const url = new URL(source.url);
  const name = placeOf(url);
  const kind = archiveOf(source);
  if (kind === undefined)
    throw new AdaptletError('SOURCE_UNUSABLE', `${name}: it is not said what kind of archive it is`);
  const digest = `sha256:${source.sha256}` as Digest;
  const download = await askFile(url, digest, asking);
  const { size } = download.blob;
  const blob: Descriptor = { mediaType: 'application/octet-stream', digest, size };
  return {
    blobs: [blob],
    bytes: size,
    write: async (_, path, have) => {
      const whole = new WholeAnswers(download, digest, source);
      await downloadTo(whole.download, { path, have }, transfer);
      whole.check();
    },
    hash: async () => {
      const whole = new WholeAnswers(download, digest, source);
      const found = await digestOfDownload(whole.download, transfer);
      whole.check();
      return found;
    },
    // The file itself was asked for.
    prove: () => Promise.resolve(),
    lay: async ({ folder, path }, maxBytes) =>
      await unpackAdapter({ path: path(digest), kind, name }, { folder, maxBytes }, asking),
  };
};

/**
 * Hashes what a server sends, to tell a server that has another file, which is asked again only when somebody changed something, from
 * a file that was put together of two answers, or that a disk did not keep.
 */
class WholeAnswers {
  readonly download: Download;
  readonly #digest: Digest;
  readonly #source: HttpSource;
  #found: Digest | undefined;

  constructor(download: Download, digest: Digest, source: HttpSource) {
    this.#digest = digest;
    this.#source = source;
    this.download = {
      ...download,
      ask: async (headers) => {
        this.#found = undefined;
        const answer = await download.ask(headers);
        return answer.response.status === 200 ? { ...answer, body: this.#hashed(answer.body) } : answer;
      },
    };
  }

  /** @throws SOURCE_MISMATCH where one answer had the whole file, and that is another one */
  check(): void {
    const { url, sha256 } = this.#source;
    if (this.#found === undefined || this.#found === this.#digest) return;
    throw new AdaptletError(
      'SOURCE_MISMATCH',
      `${placeOf(new URL(url))} came as ${this.#found}, and its sha256 shall be ${sha256}`,
    );
  }

  async *#hashed(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256');
    for await (const chunk of body) {
      hash.update(chunk);
      yield chunk;
    }
    this.#found = `sha256:${hash.digest('hex')}` as Digest;
  }
}
