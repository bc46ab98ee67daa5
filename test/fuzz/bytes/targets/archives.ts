import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { extract } from '../../../../src/artifact/extract.ts';
import { safeName } from '../../../../src/artifact/file-name.ts';
import type { Compression } from '../../../../src/artifact/layers.ts';
import { tarEntries } from '../../../../src/artifact/tar.ts';
import { type ZipFixtureEntry, zipOf } from '../../../../src/artifact/zip.fixture.ts';
import { codesOf } from '../examples.ts';
import { packed, tar } from '../mutators/tar.ts';
import { scratch } from '../scratch.ts';
import { must, type Target } from '../target.ts';
import { tarFile } from './tar-examples.ts';

/** Archives as zip and zipfile write them, and some that lie. */
const zipExamples: readonly (readonly ZipFixtureEntry[])[] = [
  [
    { name: 'adapter_config.json', content: '{"peft_type":"LORA"}' },
    { name: 'adapter_model.safetensors', content: Buffer.alloc(1000, 1) },
  ],
  [{ name: 'adapter/' }, { name: 'adapter/adapter_config.json', content: '{}', mode: 0o100644 }],
  [{ name: 'stored', content: 'x'.repeat(300), isStored: true }],
  [{ name: 'link', content: '/etc/passwd', mode: 0o120777 }],
  [{ name: '../x', content: 'x' }],
  [{ name: 'x', content: 'x', size: 1 << 20 }],
  [{ name: 'bomb', content: Buffer.alloc(4 << 20) }],
];

const limits = { maxBytes: 1024 * 1024, maxFiles: 16 } as const;

const chunks = async function* (bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 700) yield bytes.subarray(at, at + 700);
};

const tarTarget: Target = {
  name: 'tar',
  reads: 'src/artifact/tar.ts, file-name.ts',
  examples: () => tarFile.examples(),
  mutators: [tar],
  codes: ['ARTIFACT_ARCHIVE_INVALID', 'ARTIFACT_FILE_REFUSED'],
  run: async (bytes) => {
    let read = 0;
    let entries = 0;
    for await (const { name, size, content } of tarEntries(chunks(bytes))) {
      const safe = safeName(name, 'x');
      must(!safe.split('/').includes('..') && !safe.startsWith('/'), `the name ${safe}`);
      entries += 1;
      // Every other one is passed over.
      if (entries % 2 === 0) continue;
      let own = 0;
      for await (const piece of content) own += piece.length;
      must(own === size, `${own} bytes of an entry of ${size}`);
      read += own;
    }
    must(read <= bytes.length, 'more was read than there is');
    return `${Math.min(entries, 8)} entries`;
  },
};

/** Extracts to a folder in an empty one: whatever is beside it afterwards has left it. */
const archive = (
  compression: Exclude<Compression, 'none'> | 'zip',
  examples: Target['examples'],
): Target => ({
  name: compression,
  reads: compression === 'zip' ? 'src/artifact/zip.ts, extract.ts' : 'src/artifact/extract.ts',
  examples,
  mutators: compression === 'zip' ? [] : [packed(compression)],
  codes: codesOf('ARTIFACT_'),
  run: async (bytes) => {
    const around = join(scratch(), compression);
    const target = join(around, 'in', 'target');
    const file = join(around, 'archive');
    rmSync(join(around, 'in'), { recursive: true, force: true });
    mkdirSync(target, { recursive: true });
    writeFileSync(file, bytes);
    try {
      const said = await extract({ archive: file, compression, target, ...limits });
      must(said <= limits.maxBytes, `says ${said} bytes`);
      return said === 0 ? 'empty' : '';
    } finally {
      must(
        readdirSync(around).toSorted().join() === 'archive,in',
        `${readdirSync(around).join()} beside the folder`,
      );
      must(readdirSync(join(around, 'in')).join() === 'target', 'something is beside the target');
      const files = readdirSync(target, { recursive: true, withFileTypes: true });
      must(
        files.every((entry) => entry.isFile() || entry.isDirectory()),
        'something is neither file nor folder',
      );
      const sizes = files
        .filter((entry) => entry.isFile())
        .map((entry) => statSync(join(entry.parentPath, entry.name)).size);
      must(sizes.length <= limits.maxFiles, `${sizes.length} files`);
      must(sizes.reduce((sum, size) => sum + size, 0) <= limits.maxBytes, 'more bytes than the limit');
    }
  },
});

export const archiveTargets: readonly Target[] = [
  tarTarget,
  archive('gzip', () => tarFile.withBombs().map((file) => gzipSync(file))),
  archive('zstd', () => tarFile.withBombs().map((file) => zstdCompressSync(file))),
  archive('zip', () => zipExamples.map(zipOf)),
];
