import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdDecompress } from 'node:zlib';
import { cacheFolder } from '../tools/cache.ts';
import { keyOf } from '../tools/go-build.ts';
import known from './archive.json' with { type: 'json' };
import { binaryFolder, binaryNames, linkPrograms, sourceOf } from './programs.ts';

/** The prebuilt binaries that may lie beside the repository: their sum, and the keys of the sources that they are of. */
const archive = join(import.meta.dirname, '../../../shared/kube', known.file);

/** A key holds the platform too: the archive is of no use to another platform, or to newer sources. */
export const archiveIsThere = (): boolean =>
  existsSync(archive) && binaryNames.every((binary) => known.sources[binary] === keyOf(sourceOf(binary)));

const checkSum = async (): Promise<void> => {
  const hash = createHash('sha256');
  await pipeline(createReadStream(archive), hash);
  const got = hash.digest('hex');
  if (got === known.sha256) return;
  throw new Error(
    `${archive} has another sha256 than test/cluster/archive.json says: ${got}, not ${known.sha256}`,
  );
};

const untar = async (folder: string): Promise<void> => {
  const tar = spawn('tar', ['-x', '-C', folder, ...binaryNames], { stdio: ['pipe', 'inherit', 'inherit'] });
  const ended = new Promise<number>((resolve, reject) => {
    tar.once('error', reject);
    tar.once('close', (code) => resolve(code ?? 1));
  });
  const decompress = createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: 27 } });
  const [code] = await Promise.all([ended, pipeline(createReadStream(archive), decompress, tar.stdin)]);
  if (code !== 0) throw new Error(`tar could not unpack ${archive} into ${folder}: exit code ${code}`);
};

/** Unpacks the archive into the user's cache, after its sum was checked. */
export const unpackArchive = async (): Promise<void> => {
  await checkSum();
  mkdirSync(cacheFolder('cluster'), { recursive: true });
  const folder = mkdtempSync(join(cacheFolder('cluster'), 'unpack-'));
  try {
    await untar(folder);
    for (const binary of binaryNames) {
      mkdirSync(binaryFolder(binary), { recursive: true });
      // Two test processes may unpack at once: the last one wins, both are whole.
      renameSync(join(folder, binary), join(binaryFolder(binary), binary));
      linkPrograms(binary);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
