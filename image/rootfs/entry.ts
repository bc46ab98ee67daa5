import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Something in the root file system; `path` is relative to the root. Everything belongs to root, and nobody may write. */
export type Entry =
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly content: Content };

type Content =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'path'; readonly path: string };

const readable = 0o644;
const executable = 0o755;

export const folder = (path: string, mode = executable): Entry => ({ kind: 'folder', path, mode });
export const link = (path: string, target: string): Entry => ({ kind: 'link', path, target });
export const text = (path: string, content: string): Entry => ({
  kind: 'file',
  path,
  mode: readable,
  content: { kind: 'bytes', bytes: Buffer.from(content) },
});
/** A file of this machine, read when it is needed. */
export const copied = (path: string, from: string): Entry => ({
  kind: 'file',
  path,
  mode: readable,
  content: { kind: 'path', path: from },
});
export const program = (path: string, from: string): Entry => ({
  kind: 'file',
  path,
  mode: executable,
  content: { kind: 'path', path: from },
});

export const bytesOf = (entry: Extract<Entry, { kind: 'file' }>): Buffer =>
  entry.content.kind === 'bytes' ? entry.content.bytes : readFileSync(entry.content.path);

const byPath = (a: Entry, b: Entry): number => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);

/** Sorted by path, with the folders that hold them; so a folder comes before what is in it. */
export const tree = (entries: readonly Entry[]): readonly Entry[] => {
  const all = new Map<string, Entry>();
  for (const { path } of entries) {
    for (let parent = dirname(path); parent !== '.'; parent = dirname(parent))
      all.set(parent, folder(parent));
  }
  for (const entry of entries) all.set(entry.path, entry);
  return [...all.values()].toSorted(byPath);
};
