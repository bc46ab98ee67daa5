import { constants, type Dirent, type Stats } from 'node:fs';
import {
  copyFile,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';

/**
 * What is done with the disk. Each call says where in the code it is made (`at`), so that a test can break each place by itself; the
 * real one does not look at it. Errors are those of node:fs.
 */
export type Files<Point extends string = string> = {
  open(at: Point, path: string): Promise<FileHandle>;
  readFile(at: Point, path: string): Promise<Buffer>;
  /** `isNew`: fails with EEXIST when the file is there. */
  writeFile(at: Point, path: string, data: string | Uint8Array, isNew?: 'isNew'): Promise<void>;
  /** fsync of a file or a folder. */
  sync(at: Point, path: string): Promise<void>;
  rename(at: Point, from: string, to: string): Promise<void>;
  link(at: Point, from: string, to: string): Promise<void>;
  /** Fails with EEXIST when `to` is there. */
  copy(at: Point, from: string, to: string): Promise<void>;
  /** With its parents. */
  mkdir(at: Point, folder: string): Promise<void>;
  /** A file or a folder with all that is in it; nothing when it is not there. */
  remove(at: Point, path: string): Promise<void>;
  names(at: Point, folder: string): Promise<readonly string[]>;
  entries(at: Point, folder: string, how?: { readonly recursive: boolean }): Promise<readonly Dirent[]>;
  stat(at: Point, path: string): Promise<Stats>;
  /** A Unix socket that keeps no process alive. */
  listen(at: Point, socket: string, onClient: (client: Socket) => void): Promise<Server>;
};

/** The disk of this machine. Files are readable to their owner alone. */
export const nodeFiles: Files = {
  open: (_, path) => open(path, 'r'),
  readFile: (_, path) => readFile(path),
  writeFile: (_, path, data, isNew) =>
    writeFile(path, data, { flag: isNew === undefined ? 'w' : 'wx', mode: 0o600 }),
  sync: async (_, path) => {
    await using handle = await open(path, 'r');
    await handle.sync();
  },
  rename: (_, from, to) => rename(from, to),
  link: (_, from, to) => link(from, to),
  copy: (_, from, to) => copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE),
  mkdir: async (_, folder) => {
    await mkdir(folder, { recursive: true });
  },
  remove: (_, path) => rm(path, { recursive: true, force: true }),
  names: (_, folder) => readdir(folder),
  entries: (_, folder, { recursive } = { recursive: false }) =>
    readdir(folder, { withFileTypes: true, recursive }),
  stat: (_, path) => stat(path),
  listen: (_, socket, onClient) =>
    new Promise((resolve, reject) => {
      const server = createServer(onClient);
      server.once('error', reject);
      server.listen(socket, () => {
        server.unref();
        resolve(server);
      });
    }),
};
