import { describe, expect, it } from 'vitest';
import type { UserObject } from '../../api/objects.ts';
import { parseManifests } from '../../api/parse.ts';
import {
  dropUnused,
  type FolderState,
  mergeScan,
  objectsOf,
  removedFile,
  type ScannedFile,
} from './folder-state.ts';

const parse = (text: string, file: string) => parseManifests(text, file, { defaultNamespace: 'default' });
const adapter = (name: string, path = name, extra = '') =>
  `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: {path: {path: ${path}}}\n${extra}---\n`;

let count = 0;
const merge = (
  before: FolderState,
  files: Record<string, string>,
  inUse: (m: UserObject) => boolean = () => false,
) => {
  const scanned: ScannedFile[] = Object.entries(files).map(([file, text]) => ({ file, text }));
  return mergeScan(
    before,
    scanned,
    parse,
    { newUid: () => `uid-${++count}`, now: '2026-01-01T00:00:00Z' },
    inUse,
  );
};
const names = (state: FolderState) =>
  objectsOf(state)
    .map((m) => m.metadata.name)
    .sort();
const uidOf = (state: FolderState, name: string) =>
  objectsOf(state).find((m) => m.metadata.name === name)?.metadata.uid;

describe('mergeScan', () => {
  it('gives each new object an identity, and keeps it while the object exists', () => {
    const first = merge({}, { 'a.yaml': adapter('a') + adapter('b') });
    const second = merge(first.state, { 'a.yaml': adapter('b') + adapter('a') });
    expect(names(first.state)).toEqual(['a', 'b']);
    expect(uidOf(second.state, 'a')).toBe(uidOf(first.state, 'a'));
    expect(objectsOf(second.state)[0]?.metadata.generation).toBe(1);
  });

  it('raises the generation when the spec changes', () => {
    const first = merge({}, { 'a.yaml': adapter('a') });
    const second = merge(first.state, { 'a.yaml': adapter('a', 'a', '  priority: 5\n') });
    expect(second.problems).toEqual([]);
    expect(objectsOf(second.state)[0]?.metadata.generation).toBe(2);
  });

  it('keeps the objects of a file that became bad, and takes the good files', () => {
    const first = merge({}, { 'a.yaml': adapter('a'), 'b.yaml': adapter('b') });
    const second = merge(first.state, { 'a.yaml': 'kind: [', 'b.yaml': adapter('b') + adapter('c') });
    expect(names(second.state)).toEqual(['a', 'b', 'c']);
    expect(second.problems).toMatchObject([{ file: 'a.yaml' }]);
  });

  it('keeps the objects of a file that cannot be read', () => {
    const first = merge({}, { 'a.yaml': adapter('a') });
    const second = mergeScan(
      first.state,
      [{ file: 'a.yaml', reason: 'cannot be read: EACCES' }],
      parse,
      { newUid: () => 'x', now: '' },
      () => false,
    );
    expect(names(second.state)).toEqual(['a']);
    expect(second.problems).toEqual([{ file: 'a.yaml', line: 0, reason: 'cannot be read: EACCES' }]);
  });

  it('removes the objects of a file that is gone', () => {
    const first = merge({}, { 'a.yaml': adapter('a'), 'b.yaml': adapter('b') });
    expect(names(merge(first.state, { 'a.yaml': adapter('a') }).state)).toEqual(['a']);
  });

  it('holds everything when no file is left', () => {
    const first = merge({}, { 'a.yaml': adapter('a') });
    const second = merge(first.state, {});
    expect(names(second.state)).toEqual(['a']);
    expect(second.held).toContain('no manifest files');
  });

  it('lets the last object go when its file stays', () => {
    const first = merge({}, { 'a.yaml': adapter('a') });
    const second = merge(first.state, { 'a.yaml': '# nothing\n' });
    expect(second).toMatchObject({ held: '', problems: [] });
    expect(names(second.state)).toEqual([]);
  });

  it('takes a file without a byte for one that is being written', () => {
    const first = merge({}, { 'a.yaml': adapter('a'), 'b.yaml': adapter('b') });
    const second = merge(first.state, { 'a.yaml': '', 'b.yaml': adapter('b') });
    expect(names(second.state)).toEqual(['a', 'b']);
    expect(second.problems).toMatchObject([{ file: 'a.yaml', line: 0 }]);
    expect(merge({}, { 'a.yaml': '' }).problems).toEqual([]);
  });

  it('leaves an object with the file that has it, also when the copy is in a file that sorts before', () => {
    const first = merge({}, { 'a.yaml': adapter('a'), 'b.yaml': adapter('b') });
    const second = merge(first.state, { 'a.yaml': adapter('a') + adapter('b'), 'b.yaml': adapter('b') });
    expect(second.problems).toMatchObject([{ file: 'a.yaml' }]);
    expect(names(second.state)).toEqual(['a', 'b']);
  });

  it('has an object once when it moved out of a file that is refused for something else', () => {
    const first = merge({}, { 'a.yaml': adapter('c'), 'b.yaml': adapter('a') + adapter('b') });
    const second = merge(first.state, {
      'a.yaml': adapter('c') + adapter('b'),
      'b.yaml': adapter('a', 'other'),
    });
    expect(second.problems).toMatchObject([{ file: 'b.yaml' }]);
    expect(names(second.state)).toEqual(['a', 'b', 'c']);
    expect(uidOf(second.state, 'b')).toBe(uidOf(first.state, 'b'));
  });

  it('leaves an object with the file that had it first', () => {
    const first = merge({}, { 'b.yaml': adapter('a') });
    const second = merge(first.state, { 'a.yaml': adapter('a', 'other'), 'b.yaml': adapter('a') });
    expect(second.problems).toMatchObject([{ file: 'a.yaml', line: 1 }]);
    expect(second.problems[0]?.reason).toContain('b.yaml');
    expect(names(second.state)).toEqual(['a']);
  });

  it('lets an object move to another file and stay the same object', () => {
    const first = merge({}, { 'a.yaml': adapter('a') });
    const second = merge(first.state, { 'b.yaml': adapter('a') });
    expect(second.problems).toEqual([]);
    expect(uidOf(second.state, 'a')).toBe(uidOf(first.state, 'a'));
  });

  it('refuses to change where an adapter comes from', () => {
    const first = merge({}, { 'a.yaml': adapter('a') });
    const second = merge(first.state, { 'a.yaml': adapter('a', 'elsewhere') });
    expect(second.problems[0]?.reason).toMatch(/immutable/);
    expect(objectsOf(second.state)[0]?.spec).toMatchObject({ source: { path: { path: 'a' } } });
  });

  it('keeps a removed object while it is in use, and lets it go after', () => {
    const first = merge({}, { 'a.yaml': adapter('a'), 'b.yaml': adapter('b') });
    const second = merge(first.state, { 'b.yaml': adapter('b') }, (m) => m.metadata.name === 'a');
    expect(second.state[removedFile]?.map((m) => m.metadata.name)).toEqual(['a']);
    expect(uidOf(second.state, 'a')).toBe(uidOf(first.state, 'a'));
    expect(names(dropUnused(second.state, () => true))).toEqual(['a', 'b']);
    expect(names(dropUnused(second.state, () => false))).toEqual(['b']);
  });

  it('takes a removed object that is in use back under its uid', () => {
    const first = merge({}, { 'a.yaml': adapter('a'), 'b.yaml': adapter('b') });
    const second = merge(first.state, { 'b.yaml': adapter('b') }, () => true);
    const third = merge(second.state, { 'b.yaml': adapter('b'), 'c.yaml': adapter('a') }, () => true);
    expect(uidOf(third.state, 'a')).toBe(uidOf(first.state, 'a'));
    expect(third.state[removedFile]).toBeUndefined();
  });

  it('makes a new object of one that was removed and comes back', () => {
    const first = merge({}, { 'a.yaml': adapter('a'), 'b.yaml': adapter('b') });
    const second = merge(first.state, { 'b.yaml': adapter('b') });
    const third = merge(second.state, { 'a.yaml': adapter('a'), 'b.yaml': adapter('b') });
    expect(uidOf(third.state, 'a')).not.toBe(uidOf(first.state, 'a'));
  });
});
