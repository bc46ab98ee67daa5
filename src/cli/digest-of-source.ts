import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Digest, digestSchema } from '../api/names.ts';
import { archiveOf, defaultHubEndpoint, type HubSource, sourceSchema } from '../api/source.ts';
import { hexOf } from '../artifact/digest.ts';
import { startDiskThread } from '../artifact/disk-thread.ts';
import { HttpClient } from '../artifact/http-client.ts';
import { askFile, unpackAdapter } from '../artifact/http-source.ts';
import { askHub, commitOf } from '../artifact/hub-source.ts';
import { defaultLimits } from '../artifact/manifest.ts';
import { packFolder } from '../artifact/pack.ts';
import type { Asking } from '../artifact/remote-files.ts';
import { SourceHttp } from '../artifact/source-http.ts';
import { downloadTo } from '../artifact/transfer.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../errors/quote-untrusted.ts';
import { type RegistryFlags, registryOptionsOf } from './registry/registry-flags.ts';

export type DigestFlags = RegistryFlags & { readonly endpoint?: string };

type Place = { readonly asking: Asking; readonly folder: string };

/** Does something in a folder that goes afterwards. `token`: of a hub. */
const inFolder = async <T>(
  flags: DigestFlags,
  token: string | undefined,
  work: (place: Place) => Promise<T>,
): Promise<T> => {
  const transfer = registryOptionsOf(flags, process.env);
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-digest-'));
  await using disk = startDiskThread();
  const credential =
    token === undefined
      ? undefined
      : { name: 'Authorization', value: async () => ({ header: `Bearer ${token}`, lifetimeMs: 60_000 }) };
  const http = new SourceHttp(new HttpClient(transfer), credential, transfer.clock);
  const { signal } = new AbortController();
  const asking = { http, transfer, disk, limits: defaultLimits, signal, onBytes: () => undefined };
  try {
    return await work({ asking, folder });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const linesOf = (source: object, digest: Digest): string =>
  ['spec of an Adapter:', `  source: ${JSON.stringify(source)}`, `  digest: ${digest}`].join('\n');

const kindOf = (name: string) => {
  const kind = archiveOf({ url: name });
  if (kind !== undefined) return kind;
  throw new AdaptletError('ARTIFACT_ARCHIVE_INVALID', `${quoteUntrusted(name)} is no archive by its name`, {
    advice: 'Give it a name that ends in .tar, .tar.gz, .tgz, .tar.zst or .zip.',
  });
};

const digestsOfArchive = async (path: string, name: string, { asking, folder }: Place) => {
  const { disk, limits, signal } = asking;
  const { digest: sha256 } = await disk.hash(path, signal);
  const target = { folder: join(folder, 'files'), maxBytes: limits.maxBytes };
  const files = await unpackAdapter({ path, kind: kindOf(name), name }, target, asking);
  const { digest } = await packFolder(files, { disk, limits, signal });
  return { sha256: hexOf(sha256), digest };
};

/** The lines for an archive on this disk, which is still to be put on a server. */
export const digestOfArchive = async (path: string): Promise<string> =>
  await inFolder({}, undefined, async (place) => {
    const name = basename(path);
    const { sha256, digest } = await digestsOfArchive(path, name, place);
    return linesOf({ http: { url: `https://…/${name}`, sha256 } }, digest);
  });

const unknown = digestSchema.parse(`sha256:${'0'.repeat(64)}`);

/**
 * The lines for an archive of a web server.
 * @throws those of http sources
 */
export const digestOfUrl = async (address: string, flags: DigestFlags): Promise<string> =>
  await inFolder(flags, undefined, async (place) => {
    const url = new URL(address);
    kindOf(url.pathname);
    const path = join(place.folder, 'archive');
    const { asking } = place;
    await downloadTo(await askFile(url, unknown, asking), { path, have: 0 }, asking.transfer);
    const { sha256, digest } = await digestsOfArchive(path, url.pathname, place);
    return linesOf({ http: { url: address, sha256 } }, digest);
  });

const hubPlace = /^hf:\/\/([^/@]+\/[^/@]+)((?:\/[^/@]+)*)(?:@(.+))?$/;

/**
 * The lines for an adapter of a hub, with the commit that a branch or a tag is at now.
 * @throws those of huggingFace sources
 */
export const digestOfHub = async (text: string, flags: DigestFlags): Promise<string> =>
  await inFolder(flags, process.env['HF_TOKEN'], async ({ asking, folder }) => {
    const [, repo, below = '', revision = 'main'] = hubPlace.exec(text) ?? [];
    if (repo === undefined)
      throw new AdaptletError('SOURCE_UNUSABLE', `${quoteUntrusted(text)} is no place at a hub`, {
        advice: 'Write hf://owner/name[/folder][@revision], for example hf://team-a/sql-lora@main.',
      });
    const endpoint = flags.endpoint ?? process.env['HF_ENDPOINT'] ?? defaultHubEndpoint;
    const isCommit = /^[0-9a-f]{40}$/.test(revision);
    const commit = isCommit ? revision : await commitOf(repo, revision, endpoint, asking);
    const source = checked({
      repo,
      revision: commit,
      ...(below === '' ? {} : { subfolder: below.slice(1) }),
    });
    const files = await askHub(source, endpoint, asking);
    const path = (digest: Digest): string => join(folder, hexOf(digest));
    const { disk, limits, signal } = asking;
    for (const blob of files.blobs) {
      await files.write(blob, path(blob.digest), 0);
      const { digest: found } = await disk.hash(path(blob.digest), signal);
      if (found !== blob.digest)
        throw new AdaptletError(
          'ARTIFACT_CORRUPT',
          `a file of ${text} came as ${found}, not as ${blob.digest}`,
        );
    }
    const laid = await files.lay({ folder: join(folder, 'files'), path }, defaultLimits.maxBytes);
    const { digest } = await packFolder(laid, { disk, limits, signal });
    return linesOf({ huggingFace: source }, digest);
  });

/** As an Adapter would have to name it. */
const checked = (huggingFace: HubSource): HubSource => {
  const parsed = sourceSchema.safeParse({ huggingFace });
  if (parsed.data?.huggingFace !== undefined) return parsed.data.huggingFace;
  throw new AdaptletError('SOURCE_UNUSABLE', parsed.error?.issues[0]?.message ?? 'it is no repository');
};
