import type { Digest } from '../api/names.ts';
import type { FixtureArtifact } from './artifact.fixture.ts';
import { mediaTypes } from './manifest.ts';

type Content = ReadonlyMap<string, Uint8Array>;

const userOf = (authorization: string | null): string => {
  const [scheme, value = ''] = (authorization ?? '').split(' ');
  const [user = ''] = Buffer.from(value, 'base64').toString('utf8').split(':');
  return scheme === 'Basic' ? user : '';
};

/** A read that came: who asked, and the path below `/v2/`. */
export type Read = { readonly user: string; readonly path: string };

/**
 * A registry that has what it is told to have, whether that is whole or not, for whom it is told to. It counts what is read.
 * `fetch` stands in for the network.
 */
export class FakeRegistry {
  readonly reads: Read[] = [];
  isUp = true;
  /** Bytes of a blob after which its connection breaks. */
  cutAfter = Number.POSITIVE_INFINITY;
  /** Repositories that send no blob before these are settled. */
  readonly stalled = new Map<string, Promise<void>>();
  /** Where repositories lead that have nothing themselves. */
  readonly leads = new Map<string, string>();
  readonly #repositories = new Map<string, Map<string, Uint8Array>>();
  readonly #readers = new Map<string, ReadonlySet<string>>();

  /** Has a repository serve an artifact; `without`: blobs of its manifest that it does not have. */
  put(repository: string, artifact: FixtureArtifact, without: readonly Digest[] = []): void {
    this.serve(repository, `manifests/${artifact.digest}`, artifact.manifest);
    this.serve(repository, 'manifests/latest', artifact.manifest);
    for (const [digest, bytes] of artifact.blobs)
      if (!without.includes(digest)) this.serve(repository, `blobs/${digest}`, bytes);
  }

  /** Has a repository serve bytes: `manifests/<tag>`, `blobs/<digest>`. */
  serve(repository: string, path: string, bytes: Uint8Array): void {
    const content = this.#repositories.get(repository) ?? new Map<string, Uint8Array>();
    this.#repositories.set(repository, content);
    content.set(path, bytes);
  }

  /** Has a repository say that an artifact refers to another; `annotations`: those that its list has. */
  refer(
    repository: string,
    subject: Digest,
    artifact: FixtureArtifact,
    { artifactType, annotations }: { readonly artifactType: string; readonly annotations?: object },
  ): void {
    const content = this.#repositories.get(repository) ?? new Map<string, Uint8Array>();
    this.#repositories.set(repository, content);
    content.set(`manifests/${artifact.digest}`, artifact.manifest);
    for (const [digest, bytes] of artifact.blobs) content.set(`blobs/${digest}`, bytes);
    const path = `referrers/${subject}`;
    const { manifests } = JSON.parse(String(Buffer.from(content.get(path) ?? '{"manifests":[]}'))) as {
      readonly manifests: readonly object[];
    };
    const { digest, manifest } = artifact;
    const entry = {
      mediaType: mediaTypes.manifest,
      artifactType,
      digest,
      size: manifest.length,
      annotations,
    };
    content.set(path, Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [...manifests, entry] })));
  }

  /** From here on only these users may read it. */
  allow(repository: string, users: readonly string[]): void {
    this.#readers.set(repository, new Set(users));
  }

  /** How many reads of this kind came, of one user or of all. */
  count(kind: 'manifests' | 'blobs' | 'referrers', user?: string): number {
    return this.reads.filter(
      (read) => read.path.includes(`/${kind}/`) && (user === undefined || read.user === user),
    ).length;
  }

  readonly fetch: typeof fetch = async (input, init) => {
    if (!this.isUp) throw new TypeError('no network');
    const { url, headers } = new Request(input, init);
    const { pathname } = new URL(url);
    const [repository = ''] = pathname.replace('/v2/', '').split('/blobs/');
    await this.stalled.get(repository);
    return this.answer(pathname, headers);
  };

  answer(pathname: string, headers: Headers): Response {
    const path = pathname.replace('/v2/', '');
    const [, repository = '', rest = ''] = /^(.+)\/((?:manifests|blobs|referrers)\/[^/]+)$/.exec(path) ?? [];
    const user = userOf(headers.get('authorization'));
    const location = this.leads.get(repository);
    if (location !== undefined) return new Response(null, { status: 307, headers: { location } });
    const readers = this.#readers.get(repository);
    if (readers !== undefined && user === '')
      return new Response(null, { status: 401, headers: { 'www-authenticate': 'Basic realm="test"' } });
    this.reads.push({ user, path });
    if (readers?.has(user) === false) return new Response(null, { status: 403 });
    const content: Content | undefined = this.#repositories.get(repository);
    const bytes = content?.get(rest);
    if (bytes === undefined) return new Response(null, { status: 404 });
    return rest.startsWith('blobs/') ? this.#blob(bytes, headers) : new Response(Buffer.from(bytes));
  }

  #blob(bytes: Uint8Array, headers: Headers): Response {
    const from = Number(/^bytes=(\d+)-/.exec(headers.get('range') ?? '')?.[1] ?? 0);
    const left = bytes.subarray(from);
    const body =
      left.length > this.cutAfter ? brokenAfter(left.subarray(0, this.cutAfter)) : Buffer.from(left);
    if (from === 0) return new Response(body);
    const range = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
    return new Response(body, { status: 206, headers: { 'content-range': range } });
  }
}

const brokenAfter = (bytes: Uint8Array): ReadableStream<Uint8Array> => {
  let isSent = false;
  return new ReadableStream({
    pull(controller) {
      if (isSent) controller.error(new Error('the connection broke'));
      else controller.enqueue(bytes);
      isSent = true;
    },
  });
};
