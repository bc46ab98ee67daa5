import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';

export type ArchiveFile = {
  readonly name: string;
  readonly content: Uint8Array;
  readonly isProgram: boolean;
};

/** Writes a .tar.gz. The same files give the same bytes: no times, no owners, and in the order that is given. */
export const writeArchive = async (path: string, files: readonly ArchiveFile[]): Promise<void> => {
  const archive = pack();
  const written = pipeline(archive, createGzip({ level: 9 }), createWriteStream(path));
  for (const { name, content, isProgram } of files)
    archive.entry(
      { name, mode: isProgram ? 0o755 : 0o644, mtime: new Date(0), uid: 0, gid: 0 },
      Buffer.from(content),
    );
  archive.finalize();
  await written;
};
