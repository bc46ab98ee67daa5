import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { extract } from './extract.ts';
import { type ZipFixtureEntry, zipOf } from './zip.fixture.ts';

let root: string;
let target: string;
beforeEach(async () => {
  root = folderOfTest();
  target = join(root, 'in', 'target');
  await mkdir(target, { recursive: true });
});

const unpack = async (archive: Uint8Array, limits = {}) => {
  const path = join(root, 'archive');
  await writeFile(path, archive);
  return await extract({
    archive: path,
    compression: 'zip',
    target,
    maxBytes: 10_000,
    maxFiles: 5,
    ...limits,
  });
};

describe('a zip archive', () => {
  it('is unpacked, deflated or stored, from DOS or Unix', async () => {
    const said = await unpack(
      zipOf([
        { name: 'dir/' },
        { name: 'dir/a', content: 'A'.repeat(700), mode: 0o100644 },
        { name: 'b', content: 'stored', isStored: true },
        { name: 'ü', content: '' },
      ]),
    );
    expect(said).toBe(706);
    expect(await readFile(join(target, 'dir/a'), 'utf8')).toBe('A'.repeat(700));
    expect(await readFile(join(target, 'b'), 'utf8')).toBe('stored');
    expect((await readdir(target)).sort()).toEqual(['b', 'dir', 'ü']);
  });

  const refused: readonly (readonly [string, ZipFixtureEntry, string])[] = [
    ['a path that leaves the folder', { name: '../x' }, 'ARTIFACT_ARCHIVE_INVALID'],
    ['a path within it that does', { name: 'a/../../x' }, 'ARTIFACT_ARCHIVE_INVALID'],
    ['an absolute path', { name: '/etc/x' }, 'ARTIFACT_ARCHIVE_INVALID'],
    ['a backslash', { name: 'a\\b' }, 'ARTIFACT_ARCHIVE_INVALID'],
    ['a control character', { name: 'a\nb' }, 'ARTIFACT_FILE_REFUSED'],
    ['a drive', { name: 'C:x' }, 'ARTIFACT_ARCHIVE_INVALID'],
    ['a link', { name: 'x', content: '/etc/passwd', mode: 0o120777 }, 'ARTIFACT_FILE_REFUSED'],
    ['a device', { name: 'x', mode: 0o020666 }, 'ARTIFACT_FILE_REFUSED'],
    ['a file that is encrypted', { name: 'x', flags: 1 }, 'ARTIFACT_ARCHIVE_INVALID'],
    ['a method that is not known', { name: 'x', method: 14 }, 'ARTIFACT_ARCHIVE_INVALID'],
    ['another checksum', { name: 'x', content: 'abc', sum: 7 }, 'ARTIFACT_ARCHIVE_INVALID'],
    ['more than it says', { name: 'x', content: 'a'.repeat(5_000), size: 10 }, 'ARTIFACT_ARCHIVE_INVALID'],
    ['less than it says', { name: 'x', content: 'a', size: 10 }, 'ARTIFACT_ARCHIVE_INVALID'],
    ['a file that says too much', { name: 'x', content: '', size: 20_000 }, 'ARTIFACT_TOO_LARGE'],
    ['a bomb', { name: 'x', content: Buffer.alloc(1 << 20) }, 'ARTIFACT_TOO_LARGE'],
  ];
  it.each(refused)('with %s is refused', async (_, entry, code) => {
    expect(await codeOf(() => unpack(zipOf([entry])))).toBe(code);
    expect(await readdir(join(root, 'in'))).toEqual(['target']);
  });

  it('with too many files, or names, is refused', async () => {
    const many = (count: number, end = '') =>
      zipOf(Array.from({ length: count }, (_, index) => ({ name: `f${index}${end}` })));
    expect(await codeOf(() => unpack(many(6)))).toBe('ARTIFACT_TOO_LARGE');
    expect(await codeOf(() => unpack(many(10_001, '/')))).toBe('ARTIFACT_TOO_LARGE');
    expect(await unpack(many(100, '/'))).toBe(0);
  });

  it('with a file twice, or also as a folder, is refused', async () => {
    expect(await codeOf(() => unpack(zipOf([{ name: 'a' }, { name: 'a' }])))).toBe('ARTIFACT_FILE_REFUSED');
    await rm(join(target, 'a'));
    expect(await codeOf(() => unpack(zipOf([{ name: 'a' }, { name: 'a/b' }])))).toBe('ARTIFACT_FILE_REFUSED');
  });

  it.each([0, 4, 30, 60, 90])(
    'that ends after %i bytes, or has others in front, is refused',
    async (length) => {
      const whole = zipOf([{ name: 'a', content: 'abc' }]);
      expect(await codeOf(() => unpack(whole.subarray(0, length)))).toBe('ARTIFACT_ARCHIVE_INVALID');
      expect(await codeOf(() => unpack(Buffer.concat([Buffer.alloc(7), whole])))).toBe(
        'ARTIFACT_ARCHIVE_INVALID',
      );
    },
  );
});
