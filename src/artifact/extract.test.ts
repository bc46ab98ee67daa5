import { mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { artifactErrors } from '../errors/artifact.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { tarOf } from './artifact.fixture.ts';
import { extract } from './extract.ts';
import type { Compression } from './layers.ts';

let root: string;
let target: string;
beforeEach(async () => {
  root = folderOfTest();
  target = join(root, 'target');
  await mkdir(target);
});

const unpack = async (archive: Uint8Array, compression: Compression = 'none', limits = {}) => {
  const path = join(root, 'archive');
  await writeFile(path, archive);
  return await extract({ archive: path, compression, target, maxBytes: 10_000, maxFiles: 5, ...limits });
};

const good = tarOf([
  { name: 'dir/', type: '5' },
  { name: './dir/a', content: 'A'.repeat(700) },
  { name: 'b' },
]);

describe('an archive', () => {
  it.each<[Compression, (bytes: Buffer) => Uint8Array]>([
    ['none', (bytes) => bytes],
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ])('is unpacked with compression %s', async (compression, compress) => {
    expect(await unpack(compress(good), compression)).toBe(700);
    expect(await readFile(join(target, 'dir/a'), 'utf8')).toBe('A'.repeat(700));
    expect(await readFile(join(target, 'b'), 'utf8')).toBe('');
  });

  it('may have long names, of pax and of GNU tar', async () => {
    const long = `${'d'.repeat(60)}/${'f'.repeat(60)}`;
    const record = ` path=${long}\n`;
    const pax = tarOf([
      { name: 'x', type: 'x', content: `${record.length + 3}${record}` },
      { name: 'short', content: '1' },
    ]);
    await unpack(pax);
    const gnu = tarOf([
      { name: '././@LongLink', type: 'L', content: `${long}2\0` },
      { name: 'short', content: '2' },
    ]);
    await unpack(gnu);
    expect(await readFile(join(target, long), 'utf8')).toBe('1');
    expect(await readFile(join(target, `${long}2`), 'utf8')).toBe('2');
  });
});

const pax = (records: string, type = 'x') => ({ name: 'pax', type, content: records });
const record = (key: string, value: string): string => {
  const body = ` ${key}=${value}\n`;
  return `${body.length + 2}${body}`;
};

describe('an archive that two readers would read in two ways', () => {
  it.each<[string, readonly ReturnType<typeof pax>[]]>([
    [
      'a record that ends in another one',
      [pax(record('path', 'dir/b').replace(/^\d+/, '20').padEnd(40, 'x'))],
    ],
    ['a record without its end', [pax(record('path', 'dir/bb').replace('\n', 'x'))]],
    ['a record of no name', [pax(record('', 'dir/bbbbb'))]],
    ['a length that is no decimal number', [pax(record('path', 'dir/bbb').replace(/^\d\d/, '1e1'))]],
    ['a size that is none', [pax(record('size', '0x0000'))]],
    ['a size that is empty', [pax('8 size=\n')]],
    ['two names', [pax(record('path', 'dir/b')), pax('dir/c\0', 'L')]],
    ['one name for all', [pax(record('path', 'dir/b'), 'g')]],
    ['one size for all', [pax(record('size', '000000'), 'g')]],
  ])('is refused: %s', async (_, extensions) => {
    expect(await codeOf(() => unpack(tarOf([...extensions, { name: 'b' }])))).toBe(
      'ARTIFACT_ARCHIVE_INVALID',
    );
  });

  it('keeps a long name over an extension that says something else', async () => {
    const entries = [pax('long-name\0', 'L'), pax(record('mtime', '1700000000')), { name: 'short' }];
    await unpack(tarOf([pax(record('comment', 'commit'), 'g'), ...entries]));
    expect(await readdir(target)).toEqual(['long-name']);
  });
});

describe('an archive that is refused', () => {
  it.each<[string, string, Parameters<typeof tarOf>[0]]>([
    ['a way out', 'ARTIFACT_FILE_REFUSED', [{ name: '../out' }]],
    ['a way out in the middle', 'ARTIFACT_FILE_REFUSED', [{ name: 'a/../../out' }]],
    ['an absolute name', 'ARTIFACT_FILE_REFUSED', [{ name: '/etc/passwd' }]],
    ['a backslash', 'ARTIFACT_FILE_REFUSED', [{ name: String.raw`a\b` }]],
    ['a symbolic link', 'ARTIFACT_FILE_REFUSED', [{ name: 'a', type: '2' }]],
    ['a hard link', 'ARTIFACT_FILE_REFUSED', [{ name: 'a', type: '1' }]],
    ['a device', 'ARTIFACT_FILE_REFUSED', [{ name: 'a', type: '3' }]],
    ['a sparse file', 'ARTIFACT_FILE_REFUSED', [{ name: 'a', type: 'S' }]],
    ['a file twice', 'ARTIFACT_FILE_REFUSED', [{ name: 'a' }, { name: './a' }]],
    ['a file that is a folder as well', 'ARTIFACT_FILE_REFUSED', [{ name: 'a' }, { name: 'a/b' }]],
    ['a folder that is a file as well', 'ARTIFACT_FILE_REFUSED', [{ name: 'a/b' }, { name: 'a' }]],
    ['too many bytes', 'ARTIFACT_TOO_LARGE', [{ name: 'a', content: 'x'.repeat(10_001) }]],
    ['too many files', 'ARTIFACT_TOO_LARGE', ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({ name }))],
  ])('%s', async (_, code, entries) => {
    expect(await codeOf(() => unpack(tarOf(entries)))).toBe(code);
    expect((await readdir(root)).sort()).toEqual(['archive', 'target']);
  });

  it('ends early, has a wrong checksum, or is not compressed as it says', async () => {
    expect(await codeOf(() => unpack(good.subarray(0, 1200)))).toBe('ARTIFACT_ARCHIVE_INVALID');
    const damaged = Buffer.from(tarOf([{ name: 'z' }]));
    damaged.writeUInt8(1, 3);
    expect(await codeOf(() => unpack(damaged))).toBe('ARTIFACT_ARCHIVE_INVALID');
    expect(await codeOf(() => unpack(good, 'gzip'))).toBe('ARTIFACT_ARCHIVE_INVALID');
    expect(await codeOf(() => unpack(good, 'zstd'))).toBe('ARTIFACT_ARCHIVE_INVALID');
  });

  it('is a bomb', async () => {
    const bomb = gzipSync(Buffer.alloc(40 * 1024 * 1024, 'x'));
    const entry = tarOf([{ name: 'a' }]).subarray(0, 512);
    entry.write('00300000000\0', 124, 'latin1');
    entry.write('        ', 148, 'latin1');
    const sum = entry.reduce((total, byte) => total + byte, 0);
    entry.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    expect(await codeOf(() => unpack(bomb, 'gzip'))).toBe('ARTIFACT_ARCHIVE_INVALID');
    expect(await codeOf(() => unpack(gzipSync(Buffer.concat([entry, Buffer.alloc(1000)])), 'gzip'))).toBe(
      'ARTIFACT_TOO_LARGE',
    );
  });
});

it.each<[string, Buffer]>([
  ['folders', tarOf(Array.from({ length: 40_000 }, () => ({ name: 'd/', type: '5' })))],
  [
    'extensions',
    tarOf(Array.from({ length: 20_000 }, () => ({ name: 'g', type: 'g', content: '9 a=bcde\n' }))),
  ],
])('an archive of nothing but %s is not read to its end', async (_, bytes) => {
  const read = unpack(gzipSync(bytes), 'gzip', { maxBytes: 2 ** 40 });
  await expect(read).rejects.toMatchObject({
    code: 'ARTIFACT_TOO_LARGE',
    what: expect.stringMatching(/beside its files/),
  });
});

it.each<[string, Buffer, Compression]>([
  ['taken', good, 'none'],
  ['taken, compressed', gzipSync(good), 'gzip'],
  ['refused', tarOf([{ name: '../out' }]), 'none'],
  ['damaged', Buffer.concat([good.subarray(0, 1200), Buffer.alloc(1_000_000, 1)]), 'none'],
])('an archive that was %s is no longer open', async (_, bytes, compression) => {
  await codeOf(() => unpack(bytes, compression));
  await vi.waitFor(async () => {
    const open = await Promise.all(
      (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    );
    expect(open).not.toContain(join(root, 'archive'));
  });
});

it('answers any damage with a code of the catalogue, and writes nothing outside', async () => {
  const change = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(change, async (flips) => {
      await rm(target, { recursive: true });
      await mkdir(target);
      const bytes = Buffer.from(good);
      for (const [at, value] of flips) bytes[at] = value;
      expect(['none', ...Object.keys(artifactErrors)]).toContain(await codeOf(() => unpack(bytes)));
      expect((await readdir(root)).sort()).toEqual(['archive', 'target']);
    }),
    { numRuns: 150 },
  );
});
