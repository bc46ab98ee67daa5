import { type Pack, pack } from 'tar-stream';
import { bytesOf, type Entry } from '../rootfs/entry.ts';

/** Everything belongs to root and is of the start of time: equal entries, equal bytes. */
const owner = { uid: 0, gid: 0, uname: '', gname: '', mtime: new Date(0) };

/** A tar stream of the entries, in their order. */
export const tar = (entries: readonly Entry[]): Pack => {
  const stream = pack();
  const write = async (): Promise<void> => {
    for (const entry of entries) {
      const { path: name } = entry;
      if (entry.kind === 'folder') stream.entry({ ...owner, name, type: 'directory', mode: entry.mode });
      else if (entry.kind === 'link')
        stream.entry({ ...owner, name, type: 'symlink', linkname: entry.target, mode: 0o777 });
      else {
        const bytes = bytesOf(entry);
        await new Promise<void>((resolve, reject) => {
          stream.entry({ ...owner, name, mode: entry.mode }, bytes, (error) =>
            error === undefined || error === null ? resolve() : reject(error),
          );
        });
      }
    }
    stream.finalize();
  };
  write().catch((error: unknown) =>
    stream.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return stream;
};
