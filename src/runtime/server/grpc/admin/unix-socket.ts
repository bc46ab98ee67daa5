import { randomUUID } from 'node:crypto';
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { AdaptletError } from '../../../../errors/adaptlet-error.ts';

/** Bytes that a unix socket's path may have (sun_path, with its final zero). */
const maxPathBytes = 107;

/** True when a process accepts connections there. */
const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

/**
 * Binds a unix socket that only the runtime's own user can open. It is made in a private folder and moved into place,
 * so that no moment exists in which others could connect, and a socket left by a killed process is replaced.
 * @throws CONFIG_INVALID when the path is too long or a live process has the socket
 */
export const bindPrivately = async (
  path: string,
  bind: (address: string) => Promise<void>,
): Promise<void> => {
  const folder = join(dirname(path), `.${randomUUID().slice(0, 8)}`);
  const inside = join(folder, 's');
  if (Math.max(Buffer.byteLength(path), Buffer.byteLength(inside)) > maxPathBytes)
    throw new AdaptletError(
      'CONFIG_INVALID',
      `the path of the Admin socket ${path} is too long for a unix socket`,
    );
  if (await answers(path))
    throw new AdaptletError('CONFIG_INVALID', `another process answers on the Admin socket ${path}`, {
      advice: 'Stop the other runtime, or give this one its own Admin socket.',
    });
  await mkdir(folder, { mode: 0o700, recursive: true });
  try {
    await bind(`unix:${inside}`);
    await chmod(inside, 0o600);
    await rename(inside, path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
