import { mkdirSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { credentials, type Server, ServerCredentials } from '@grpc/grpc-js';

/** Of the kubelet, in the folder of device plugins. */
export const kubeletSocket = 'kubelet.sock';

/** The version of the API that a plugin registers with. */
export const apiVersion = 'v1beta1';

/** What tells a socket from another one at the same path; undefined where there is none. */
export const identityOf = async (path: string): Promise<string | undefined> => {
  try {
    const { ino, ctimeMs } = await stat(path);
    return `${ino} ${ctimeMs}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
};

export const removeSockets = async (folder: string, prefix = ''): Promise<void> => {
  mkdirSync(folder, { recursive: true });
  for (const name of await readdir(folder))
    if (name.startsWith(prefix)) await rm(join(folder, name), { recursive: true, force: true });
};

export const listen = async (server: Server, path: string): Promise<void> => {
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
};

/** For a client of a socket. */
export const unixAddress = (path: string): [string, ReturnType<typeof credentials.createInsecure>] => [
  `unix:${path}`,
  credentials.createInsecure(),
];
