import { isDeepStrictEqual } from 'node:util';
import { immutabilityProblems } from '../../api/adapter.ts';
import { objectKey } from '../../api/names.ts';
import type { ParsedManifest, UserObject } from '../../api/objects.ts';
import type { ManifestProblem } from '../../api/parse.ts';

/** One manifest file as a scan found it. `text` is absent when it could not be read; then `reason` says why. */
export type ScannedFile = { readonly file: string; readonly text?: string; readonly reason?: string };

/** Where objects are kept that are in no file any more but still in use. Not a name that a file can have. */
export const removedFile = '';

/** The objects of each file as they were when the file was last good. */
export type FolderState = Readonly<Record<string, readonly UserObject[]>>;

export type ParsedFile = {
  readonly documents: readonly { readonly line: number; readonly manifest: ParsedManifest }[];
  readonly problems: readonly ManifestProblem[];
};

export type Merged = {
  readonly state: FolderState;
  readonly problems: readonly ManifestProblem[];
  readonly held: string;
};

/** Identity of an object in a folder: kind and key. */
export const identityOf = (m: Pick<ParsedManifest, 'kind' | 'metadata'>): string =>
  `${m.kind} ${objectKey(m.metadata.namespace, m.metadata.name)}`;

export const objectsOf = (state: FolderState): UserObject[] => Object.values(state).flat();

/** Lets go of removed objects that nothing uses any more. */
export const dropUnused = (state: FolderState, inUse: (m: UserObject) => boolean): FolderState => {
  const { [removedFile]: removed = [], ...files } = state;
  const kept = removed.filter(inUse);
  if (kept.length === removed.length) return state;
  return kept.length === 0 ? files : { ...files, [removedFile]: kept };
};

/**
 * What the folder says now, on top of what it said before. Pure.
 *
 * Guarantees: a file that is bad in any way changes nothing, its objects stay as they were when it was last good.
 * Neither does a file that was cut to 0 bytes, nor a folder without any manifest file after one with some: an
 * unmounted or emptied folder never empties a node. An object keeps its uid while it exists, also when it moves between
 * files; one that was removed and comes back is a new object. One that is removed while `inUse` stays until it is not:
 * what serves is never pulled away.
 */
export const mergeScan = (
  before: FolderState,
  files: readonly ScannedFile[],
  parse: (text: string, file: string) => ParsedFile,
  identity: { readonly newUid: () => string; readonly now: string },
  inUse: (m: UserObject) => boolean,
): Merged => {
  if (files.length === 0 && Object.keys(before).length > 0) {
    const held =
      'the folder has no manifest files any more; the last plan stays. Remove objects one by one, and keep a file with a comment to remove the last';
    return { state: before, problems: [], held };
  }
  const present = new Map(objectsOf(before).map((m) => [identityOf(m), m]));
  const read = files
    .toSorted((a, b) => (a.file < b.file ? -1 : 1))
    .map((scanned) => ({ file: scanned.file, ...contentsOf(scanned, before, parse) }));
  const owner = ownersOf(before, read);
  const state: Record<string, readonly UserObject[]> = {};
  const problems: ManifestProblem[] = [];
  for (const { file, documents, problems: bad } of read) {
    const found = [...bad, ...documents.flatMap((d) => conflictsOf(d, file, owner, present))];
    problems.push(...found);
    const objects =
      found.length > 0
        ? (before[file] ?? []).filter((m) => (owner.get(identityOf(m)) ?? file) === file)
        : documents.map((d) => withIdentity(d.manifest, present, identity));
    for (const object of objects) owner.set(identityOf(object), file);
    state[file] = objects;
  }
  const removed = [...present.values()].filter((m) => !owner.has(identityOf(m)) && inUse(m));
  if (removed.length > 0) state[removedFile] = removed;
  return { state, problems, held: '' };
};

const contentsOf = (
  { file, text, reason }: ScannedFile,
  before: FolderState,
  parse: (text: string, file: string) => ParsedFile,
): ParsedFile => {
  const bad = (why: string): ParsedFile => ({ documents: [], problems: [{ file, line: 0, reason: why }] });
  if (text === undefined) return bad(reason ?? 'cannot be read');
  // What `command > file` leaves until the command writes, and what a full disk leaves.
  if (text === '' && (before[file] ?? []).length > 0)
    return bad('has no bytes; its objects stay. Remove the file, or leave a comment in it, to remove them');
  return parse(text, file);
};

/** The file that has an object already keeps it: a copy elsewhere cannot take it over. */
const ownersOf = (
  before: FolderState,
  read: readonly (ParsedFile & { readonly file: string })[],
): Map<string, string> => {
  const owner = new Map<string, string>();
  for (const { file, documents, problems } of read) {
    const had = (before[file] ?? []).map(identityOf);
    const has = new Set(documents.map((d) => identityOf(d.manifest)));
    for (const id of had) if (problems.length > 0 || has.has(id)) owner.set(id, file);
  }
  return owner;
};

const conflictsOf = (
  document: { readonly line: number; readonly manifest: ParsedManifest },
  file: string,
  owner: ReadonlyMap<string, string>,
  present: ReadonlyMap<string, UserObject>,
): ManifestProblem[] => {
  const { line, manifest } = document;
  const other = owner.get(identityOf(manifest));
  if (other !== undefined && other !== file)
    return [
      { file, line, reason: `${identityOf(manifest)} is defined in ${other} already; remove one of the two` },
    ];
  const old = present.get(identityOf(manifest));
  if (old?.kind !== 'Adapter' || manifest.kind !== 'Adapter') return [];
  return immutabilityProblems(old.spec, manifest.spec).map((reason) => ({
    file,
    line,
    reason: `${identityOf(manifest)}: ${reason}`,
  }));
};

const withIdentity = (
  parsed: ParsedManifest,
  present: ReadonlyMap<string, UserObject>,
  identity: { readonly newUid: () => string; readonly now: string },
): UserObject => {
  const old = present.get(identityOf(parsed));
  const changed = old !== undefined && !isDeepStrictEqual(old.spec, parsed.spec);
  const metadata = {
    ...parsed.metadata,
    uid: old?.metadata.uid ?? identity.newUid(),
    generation: (old?.metadata.generation ?? 1) + (changed ? 1 : 0),
    creationTimestamp: old?.metadata.creationTimestamp ?? identity.now,
  };
  return { ...parsed, metadata };
};
