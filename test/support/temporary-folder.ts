import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, onTestFinished } from 'vitest';

const newPath = (): string => join(tmpdir(), `adaptlet-${randomBytes(6).toString('hex')}`);
const make = (path: string): void => {
  mkdirSync(path, { mode: 0o700 });
};
const remove = (path: string): void => rmSync(path, { recursive: true, force: true });

/** An empty folder for the tests of a file or a `describe`, there from the first hook on, and gone after the last one. */
export const folderOfTests = (): string => {
  const path = newPath();
  beforeAll(() => make(path));
  afterAll(() => remove(path));
  return path;
};

/** An empty folder for the running test, also from its `beforeEach`; gone after its `afterEach`. */
export const folderOfTest = (): string => {
  const path = newPath();
  make(path);
  onTestFinished(() => remove(path));
  return path;
};

const ofFile = new Set<string>();

/** An empty folder for the running test, hook or file, which others of the file may use as well; gone after its last test. */
export const folderOfFile = (): string => {
  const path = newPath();
  make(path);
  ofFile.add(path);
  return path;
};

/** For the hook that runs behind all others of a file. */
export const removeFoldersOfFile = (): void => {
  for (const path of ofFile) remove(path);
  ofFile.clear();
};
