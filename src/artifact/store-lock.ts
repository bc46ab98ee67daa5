import { randomUUID } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { join } from 'node:path';
import { nodeFiles } from '../disk/files.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';
import type { StoreDisk } from './store-points.ts';

const lockName = 'lock';
const attempts = 5;

/** The owner's process id when a process listens on the socket, undefined when nobody does. */
const ownerOf = (socket: string): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const client = connect(socket);
    let answer = '';
    client.setEncoding('utf8');
    client.on('data', (text: string) => {
      answer += text;
    });
    client.on('end', () => {
      resolve(answer);
    });
    client.on('error', (error) => {
      const nobody = ['ECONNREFUSED', 'ENOENT'].includes(errnoOf(error) ?? '');
      if (nobody) resolve(undefined);
      else reject(error);
    });
  });

/** Socket paths are short (108 bytes), folders need not be: the open folder has a short name. */
const shortNameOf = (root: string, folder: FileHandle): string =>
  process.platform === 'linux' ? `/proc/self/fd/${folder.fd}` : root;

/**
 * The process id of whoever owns a folder now, as it knows it itself; undefined when nobody does.
 * @throws Error of a folder that is not there, or of a lock that may not be asked
 */
export const ownerOfFolder = async (root: string): Promise<string | undefined> => {
  await using folder = await nodeFiles.open('lock', root);
  return await ownerOf(join(shortNameOf(root, folder), lockName));
};

const listen = (files: StoreDisk, socket: string): Promise<Server> =>
  files.listen('lock.listen', socket, (client) => {
    client.on('error', () => client.destroy());
    client.end(String(process.pid));
  });

const locked = (root: string, owner: string): AdaptletError =>
  new AdaptletError('STORE_LOCKED', `${root} is in use by process ${owner}`);

/** Puts a lock aside that nobody answers on, and asks again there: of two starters only one moves it. */
const clearStale = async (files: StoreDisk, lock: string, root: string): Promise<void> => {
  const aside = `${lock}.${randomUUID().slice(0, 8)}`;
  try {
    await files.rename('lock.set-aside', lock, aside);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  const owner = await ownerOf(aside);
  if (owner !== undefined) {
    await files.rename('lock.give-back', aside, lock);
    throw locked(root, owner);
  }
  await files.remove('lock.remove-stale', aside);
};

/**
 * Makes this process the only owner of a folder, until the result is disposed or the process ends. The lock is a
 * listening Unix socket: the kernel ends it with its process, also across containers that share the folder, where
 * process ids mean nothing.
 * @throws AdaptletError STORE_LOCKED
 */
export const lockFolder = async (root: string, files: StoreDisk = nodeFiles): Promise<AsyncDisposable> => {
  const folder = await files.open('lock.open-root', root);
  const lock = join(shortNameOf(root, folder), lockName);
  const own = `${lock}.${randomUUID().slice(0, 8)}`;
  let server: Server | undefined;
  try {
    server = await listen(files, own);
    for (let attempt = 1; ; attempt++) {
      try {
        // Linked only once it listens: whoever sees the lock can ask it.
        await files.link('lock.link', own, lock);
        break;
      } catch (error) {
        // Gone: another starter took the lock just now, and cleared what lay about.
        if (errnoOf(error) === 'ENOENT') throw locked(root, (await ownerOf(lock)) ?? 'unknown');
        if (errnoOf(error) !== 'EEXIST' || attempt === attempts) throw error;
        const owner = await ownerOf(lock);
        if (owner !== undefined) throw locked(root, owner);
        await clearStale(files, lock, root);
      }
    }
  } catch (error) {
    server?.close();
    try {
      await files.remove('lock.drop-own', own);
    } finally {
      await folder.close();
    }
    throw error;
  }
  const held = server;
  return {
    async [Symbol.asyncDispose]() {
      try {
        await files.remove('lock.release', join(root, lockName));
      } finally {
        // Nobody listens: whoever comes next takes over, also where the name is still there.
        await new Promise((resolve) => held.close(resolve));
        await folder.close();
      }
    },
  };
};

/** What owners that were killed left in a folder that is locked by `lock` now. */
export const leftLocks = async (root: string, files: StoreDisk): Promise<readonly string[]> => {
  const { ino } = await files.stat('lock.stat', join(root, lockName));
  const left: string[] = [];
  for (const name of await files.names('lock.list', root)) {
    if (!name.startsWith(`${lockName}.`)) continue;
    const path = join(root, name);
    // Its own first name is the same socket.
    if ((await files.stat('lock.stat', path)).ino !== ino) left.push(path);
  }
  return left;
};
