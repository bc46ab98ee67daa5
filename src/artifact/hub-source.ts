import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Digest, digestSchema } from '../api/names.ts';
import type { HubSource } from '../api/source.ts';
import { nodeFiles } from '../disk/files.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { safeName } from './file-name.ts';
import { readAll } from './http-client.ts';
import type { Descriptor } from './manifest.ts';
import { configFile, isPackedName, refusePickle, weightsFile } from './pack.ts';
import { type Asking, checkSize, type RemoteFiles } from './remote-files.ts';
import { withRetries } from './retry.ts';
import { linkOrCopy } from './store-files.ts';
import { type Download, digestOfDownload, downloadSmall, downloadTo } from './transfer.ts';

/** The hub keeps larger files than these by their sha256 (LFS). */
const maxPlainBytes = 16 * 1024 * 1024;
/** Bytes of one answer of its API, and answers of one list. */
const maxAnswerBytes = 4 * 1024 * 1024;
const maxPages = 16;

const size = z.int().min(0);
const entrySchema = z.object({
  type: z.string(),
  path: z.string(),
  /** Of git: sha1 of the file, or of the pointer to it. */
  oid: z.string(),
  size,
  lfs: z.object({ oid: z.string(), size }).nullish(),
});
type Entry = z.infer<typeof entrySchema>;

/** A file of the repository, by the name that it has in the folder of the adapter. */
type HubFile = { readonly name: string; readonly path: string; readonly size: number } & (
  | { readonly kind: 'lfs'; readonly digest: Digest }
  | { readonly kind: 'plain'; readonly oid: string }
);

const encoded = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

const unexpected = (what: string, status: number): AdaptletError =>
  status === 404
    ? new AdaptletError('ARTIFACT_NOT_FOUND', `${what} is not there`, {
        advice:
          'Check repo, revision and subfolder of spec.source.huggingFace. The hub says this of a repository that may not be read, too.',
      })
    : new AdaptletError('REGISTRY_UNAVAILABLE', `${what}: the hub answered ${status}`);

const notUnderstood = (what: string, cause?: unknown): AdaptletError =>
  new AdaptletError('SOURCE_UNUSABLE', `${what}: the answer of the hub is not understood`, {
    advice: 'Check that the endpoint has the API of huggingface.co.',
    cause,
  });

/** The link of a Link header (RFC 8288) that leads to the rest of a list. */
const nextIn = (header: string | null): string | undefined =>
  /<([^>]*)>\s*;\s*rel="?next"?/.exec(header ?? '')?.[1];

/** Requests to a hub: its API, and its files. */
class Hub {
  readonly #endpoint: URL;
  readonly #asking: Asking;

  constructor(endpoint: string, asking: Asking) {
    this.#endpoint = new URL(endpoint.endsWith('/') ? endpoint : `${endpoint}/`);
    this.#asking = asking;
  }

  urlOf(path: string): URL {
    return new URL(path, this.#endpoint);
  }

  /** An answer of the API, and what follows it. */
  async json(url: URL, what: string): Promise<{ readonly value: unknown; readonly next: URL | undefined }> {
    const { http, transfer, signal } = this.#asking;
    const attempt = async () => {
      await using answer = await http.get(url, { accept: 'application/json' }, signal);
      const { status, headers } = answer.response;
      if (status !== 200) throw unexpected(what, status);
      const bytes = await readAll(answer, maxAnswerBytes, what);
      const next = nextIn(headers.get('link'));
      return { bytes, next: next === undefined ? undefined : this.#next(next, url, what) };
    };
    const { bytes, next } = await withRetries(transfer, signal, attempt, { host: this.#endpoint.host });
    try {
      return { value: JSON.parse(Buffer.from(bytes).toString('utf8')), next };
    } catch (error) {
      throw notUnderstood(what, error);
    }
  }

  /** Whoever is asked next gets the token as well. */
  #next(link: string, url: URL, what: string): URL {
    const next = URL.canParse(link, url.href) ? new URL(link, url) : undefined;
    if (next?.origin === this.#endpoint.origin) return next;
    throw notUnderstood(what);
  }

  /** Lists of gated repositories are for everybody, their files are not. */
  async mayRead(url: URL, what: string): Promise<void> {
    const { http, transfer, signal } = this.#asking;
    const attempt = async () => {
      await using answer = await http.get(url, { range: 'bytes=0-0' }, signal);
      const { status } = answer.response;
      if (status !== 200 && status !== 206) throw unexpected(what, status);
    };
    await withRetries(transfer, signal, attempt, { host: url.host });
  }

  download(url: URL, blob: Download['blob'], what: string): Download {
    const { http, signal, onBytes } = this.#asking;
    return {
      blob,
      what,
      host: url.host,
      ask: (headers) => http.get(url, headers, signal),
      unexpected: (status) => unexpected(what, status),
      signal,
      onBytes: (bytes) => onBytes(blob.digest, bytes),
    };
  }
}

/** The files at the top of a folder of the repository. */
const listFiles = async (hub: Hub, source: HubSource, where: string): Promise<readonly HubFile[]> => {
  const { repo, revision, subfolder } = source;
  const below = subfolder === undefined ? '' : `/${encoded(subfolder)}`;
  const files: HubFile[] = [];
  let url: URL | undefined = hub.urlOf(`api/models/${repo}/tree/${revision}${below}`);
  for (let page = 0; url !== undefined; page++) {
    if (page === maxPages) throw new AdaptletError('ARTIFACT_TOO_LARGE', `${where} has too many files`);
    const { value, next }: Awaited<ReturnType<Hub['json']>> = await hub.json(url, where);
    const entries = z.array(entrySchema).safeParse(value);
    if (!entries.success) throw notUnderstood(where, entries.error);
    files.push(...entries.data.flatMap((entry) => fileOf(entry, subfolder, where)));
    url = next;
  }
  return files;
};

const fileOf = (entry: Entry, subfolder: string | undefined, where: string): readonly HubFile[] => {
  const { path, lfs } = entry;
  const prefix = subfolder === undefined ? '' : `${subfolder}/`;
  const name = path.slice(prefix.length);
  if (entry.type !== 'file' || !path.startsWith(prefix) || name.includes('/')) return [];
  const named = { name: safeName(name, where), path };
  if (lfs === undefined || lfs === null)
    return [{ ...named, kind: 'plain', size: entry.size, oid: entry.oid }];
  const digest = digestSchema.safeParse(`sha256:${lfs.oid}`);
  if (!digest.success) throw notUnderstood(where, digest.error);
  return [{ ...named, kind: 'lfs', size: lfs.size, digest: digest.data }];
};

/** What git calls a file. */
const oidOf = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

/**
 * Asks the Hugging Face Hub, or a server with its API, for the files of an adapter: a list, of which those that it keeps by
 * sha256 are blobs.
 * @throws ARTIFACT_NOT_FOUND, ADAPTER_PICKLE, ARTIFACT_TOO_LARGE, SOURCE_UNUSABLE, and as of `SourceHttp.get`
 */
export const askHub = async (source: HubSource, endpoint: string, asking: Asking): Promise<RemoteFiles> => {
  const { transfer, limits } = asking;
  const { repo, revision, subfolder } = source;
  const where = [repo, ...(subfolder === undefined ? [] : [subfolder])].join('/') + `@${revision}`;
  const hub = new Hub(endpoint, asking);
  const all = await listFiles(hub, source, where);
  refusePickle(
    all.map(({ name }) => name),
    where,
  );
  const files = all.filter(({ name }) => isPackedName(name));
  if (!files.some(({ name }) => name === configFile || name === weightsFile))
    throw new AdaptletError('ARTIFACT_NOT_FOUND', `${where} has neither ${configFile} nor ${weightsFile}`, {
      advice: 'Name the folder of the repository that PEFT saved the adapter to, as subfolder.',
    });
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  checkSize(bytes, limits, where);
  if (files.length > limits.maxFiles)
    throw new AdaptletError('ARTIFACT_TOO_LARGE', `${where} has ${files.length} files`);
  const large = files.find((file) => file.kind === 'plain' && file.size > maxPlainBytes);
  if (large !== undefined)
    throw new AdaptletError('ARTIFACT_TOO_LARGE', `${where}: ${large.name} has no sha256 at the hub`);

  const urlOf = ({ path }: HubFile): URL => hub.urlOf(`${repo}/resolve/${revision}/${encoded(path)}`);
  const byDigest = new Map(
    files.flatMap((file) => (file.kind === 'lfs' ? [[file.digest, file] as const] : [])),
  );
  const blobs = [...byDigest.values()].map(
    (file): Descriptor => ({ mediaType: 'application/octet-stream', digest: file.digest, size: file.size }),
  );
  const downloadOf = (blob: Descriptor): Download => {
    const file = byDigest.get(blob.digest);
    if (file === undefined) throw new AdaptletError('INTERNAL', `${where} has no blob ${blob.digest}`);
    return hub.download(urlOf(file), blob, `${file.path} of ${where}`);
  };
  return {
    blobs,
    bytes,
    write: async (blob, path, have) => await downloadTo(downloadOf(blob), { path, have }, transfer),
    hash: async (blob) => await digestOfDownload(downloadOf(blob), transfer),
    prove: async () => {
      const file = files.find((one) => one.kind === 'plain' && one.size > 0) ?? files[0];
      if (file !== undefined) await hub.mayRead(urlOf(file), `${file.path} of ${where}`);
    },
    lay: async ({ folder, path }, maxBytes) => {
      const plain = files.reduce((sum, file) => sum + (file.kind === 'plain' ? file.size : 0), 0);
      if (plain > maxBytes)
        throw new AdaptletError('ARTIFACT_TOO_LARGE', `small files of ${where} have ${plain} bytes`);
      await mkdir(folder, { recursive: true });
      for (const file of files) {
        const target = join(folder, file.name);
        if (file.kind === 'lfs') await linkOrCopy(nodeFiles, path(file.digest), target, file.size);
        else await writeFile(target, await plainFile(hub, file, urlOf(file), { where, asking }));
      }
      return folder;
    },
  };
};

/** @throws ARTIFACT_CORRUPT where it is not what git has under that name */
const plainFile = async (
  hub: Hub,
  file: Extract<HubFile, { kind: 'plain' }>,
  url: URL,
  { where, asking }: { readonly where: string; readonly asking: Asking },
): Promise<Uint8Array> => {
  const what = `${file.path} of ${where}`;
  // It has no digest yet; this one stands for it where bytes are counted.
  const digest = `sha256:${createHash('sha256').update(`${where} ${file.oid}`).digest('hex')}` as Digest;
  const bytes = await downloadSmall(hub.download(url, { digest, size: file.size }, what), asking.transfer);
  if (oidOf(bytes) === file.oid) return bytes;
  throw new AdaptletError('ARTIFACT_CORRUPT', `${what} came with other bytes than git has`);
};

const commitSchema = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });

/**
 * The commit that a branch or a tag of a repository is at now.
 * @throws as `askHub`
 */
export const commitOf = async (
  repo: string,
  revision: string,
  endpoint: string,
  asking: Asking,
): Promise<string> => {
  const hub = new Hub(endpoint, asking);
  const what = `${repo}@${revision}`;
  const url = hub.urlOf(`api/models/${repo}/revision/${encodeURIComponent(revision)}`);
  const { value } = await hub.json(url, what);
  const parsed = commitSchema.safeParse(value);
  if (!parsed.success) throw notUnderstood(what, parsed.error);
  return parsed.data.sha;
};
