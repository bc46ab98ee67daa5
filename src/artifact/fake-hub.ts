import { createHash } from 'node:crypto';
import { FakeWeb } from './fake-web.ts';

type File = { readonly path: string; readonly bytes: Uint8Array };

const sha = (algorithm: 'sha1' | 'sha256', ...parts: readonly (string | Uint8Array)[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash(algorithm)).digest('hex');

/** Files of one answer of a list: the hub has 1,000. */
const pageSize = 3;

/**
 * A server that answers as the Hugging Face Hub does: lists in pages, small files by itself, large ones by a redirect to another host.
 */
export class FakeHub {
  readonly web: FakeWeb;
  readonly endpoint: string;
  readonly storage: string;

  constructor(web = new FakeWeb(), endpoint = 'https://hub.test', storage = 'https://storage.test') {
    this.web = web;
    this.endpoint = endpoint;
    this.storage = storage;
  }

  /** Has a repository serve files at a commit, to which `revision` leads. Weights are kept by sha256 (LFS). */
  put(repo: string, commit: string, files: Readonly<Record<string, Uint8Array>>, revision = 'main'): void {
    const api = `${this.endpoint}/api/models/${repo}`;
    this.web.answer(`${api}/revision/${revision}`, () => Response.json({ id: repo, sha: commit }));
    const all = Object.entries(files).map(([path, bytes]): File => ({ path, bytes }));
    for (const folder of new Set(all.map(({ path }) => path.split('/').slice(0, -1).join('/'))))
      this.#list(`${api}/tree/${commit}${folder === '' ? '' : `/${folder}`}`, folder, all);
    for (const { path, bytes } of all) {
      const url = `${this.endpoint}/${repo}/resolve/${commit}/${path}`;
      if (!isLarge(path)) {
        this.web.put(url, bytes);
        continue;
      }
      const location = `${this.storage}/repos/${sha('sha256', bytes)}?signature=abc`;
      this.web.put(location, bytes);
      this.web.answer(url, () => new Response(null, { status: 302, headers: { location } }));
    }
  }

  /** As the API lists it: what is directly in the folder, folders among it. */
  #list(url: string, folder: string, all: readonly File[]): void {
    const prefix = folder === '' ? '' : `${folder}/`;
    const inside = all.filter(({ path }) => path.startsWith(prefix));
    const folders = new Set(
      inside.flatMap(({ path }) => {
        const [first, ...rest] = path.slice(prefix.length).split('/');
        return rest.length > 0 ? [`${prefix}${first}`] : [];
      }),
    );
    const entries = [
      ...[...folders].map((path) => ({ type: 'directory', oid: '0'.repeat(40), size: 0, path })),
      ...inside.filter(({ path }) => !path.slice(prefix.length).includes('/')).map(entryOf),
    ];
    for (let at = 0; at === 0 || at < entries.length; at += pageSize) {
      const next = `${url}?cursor=${at + pageSize}`;
      const headers: Record<string, string> =
        at + pageSize < entries.length ? { link: `<${next}>; rel="next"` } : {};
      this.web.answer(at === 0 ? url : `${url}?cursor=${at}`, () =>
        Response.json(entries.slice(at, at + pageSize), { headers }),
      );
    }
  }
}

const isLarge = (path: string): boolean => path.endsWith('.safetensors');

const entryOf = ({ path, bytes }: File): object => {
  const size = bytes.length;
  if (!isLarge(path)) return { type: 'file', oid: sha('sha1', `blob ${size}\0`, bytes), size, path };
  const oid = sha('sha256', bytes);
  const pointer = Buffer.from(
    `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${size}\n`,
  );
  return {
    type: 'file',
    oid: sha('sha1', `blob ${pointer.length}\0`, pointer),
    size,
    lfs: { oid, size, pointerSize: pointer.length },
    path,
  };
};
