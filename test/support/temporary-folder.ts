import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, onTestFinished } from 'vitest';

const newPath = (): string => join(tmpdir(), `adaptlet-${randomBytes(6).toString('hex')}`);
const remove = (path: string): void => rmSync(path, { recursive: true, force: true });

/** An empty folder for the tests of a file or a `describe`, there from the first hook on, and gone after the last one. */
export const folderOfTests = (): string => {
  const path = newPath();
  beforeAll(() => mkdirSync(path, { mode: 0o700 }));
  afterAll(() => remove(path));
  return path;
};

/** An empty folder for the running test, also from its `beforeEach`; gone after its `afterEach`. */
export const folderOfTest = (): string => {
  const path = newPath();
  mkdirSync(path, { mode: 0o700 });
  onTestFinished(() => remove(path));
  return path;
};
