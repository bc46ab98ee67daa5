import { randomUUID } from 'node:crypto';
import { type FileHandle, link, open, readdir, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errnoOf } from '../errors/errno.ts';

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
  await using folder = await open(root, 'r');
  return await ownerOf(join(shortNameOf(root, folder), lockName));
};

const listen = (socket: string): Promise<Server> =>
  new Promise((resolve, reject) => {
    const server = createServer((client) => {
      client.on('error', () => client.destroy());
      client.end(String(process.pid));
    });
    server.once('error', reject);
    server.listen(socket, () => {
      server.unref();
      resolve(server);
    });
  });

const locked = (root: string, owner: string): AdaptletError =>
  new AdaptletError('STORE_LOCKED', `${root} is in use by process ${owner}`);

/** Puts a lock aside that nobody answers on, and asks again there: of two starters only one moves it. */
const clearStale = async (lock: string, root: string): Promise<void> => {
  const aside = `${lock}.${randomUUID().slice(0, 8)}`;
  try {
    await rename(lock, aside);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  const owner = await ownerOf(aside);
  if (owner !== undefined) {
    await rename(aside, lock);
    throw locked(root, owner);
  }
  await rm(aside, { force: true });
};

/**
 * Makes this process the only owner of a folder, until the result is disposed or the process ends. The lock is a
 * listening Unix socket: the kernel ends it with its process, also across containers that share the folder, where
 * process ids mean nothing.
 * @throws AdaptletError STORE_LOCKED
 */
export const lockFolder = async (root: string): Promise<AsyncDisposable> => {
  const folder = await open(root, 'r');
  const lock = join(shortNameOf(root, folder), lockName);
  const own = `${lock}.${randomUUID().slice(0, 8)}`;
  let server: Server | undefined;
  try {
    server = await listen(own);
    for (let attempt = 1; ; attempt++) {
      try {
        // Linked only once it listens: whoever sees the lock can ask it.
        await link(own, lock);
        break;
      } catch (error) {
        // Gone: another starter took the lock just now, and cleared what lay about.
        if (errnoOf(error) === 'ENOENT') throw locked(root, (await ownerOf(lock)) ?? 'unknown');
        if (errnoOf(error) !== 'EEXIST' || attempt === attempts) throw error;
        const owner = await ownerOf(lock);
        if (owner !== undefined) throw locked(root, owner);
        await clearStale(lock, root);
      }
    }
  } catch (error) {
    server?.close();
    await rm(own, { force: true });
    await folder.close();
    throw error;
  }
  const held = server;
  await removeLeftovers(root, own);
  return {
    async [Symbol.asyncDispose]() {
      await rm(join(root, lockName), { force: true });
      await new Promise((resolve) => held.close(resolve));
      await folder.close();
    },
  };
};

const removeLeftovers = async (root: string, own: string): Promise<void> => {
  const left = (await readdir(root)).filter(
    (name) => name.startsWith(`${lockName}.`) && !own.endsWith(`/${name}`),
  );
  await Promise.all(left.map((name) => rm(join(root, name), { force: true })));
};
