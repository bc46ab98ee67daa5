import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { credentials, type ServiceError } from '@grpc/grpc-js';
import type { Command } from 'commander';
import { AdminClient } from '../gen/adaptlet/inference/v1/admin.ts';

export type AdminOptions = { readonly admin?: string; readonly dataDir?: string };

/** Adds the options that say which runtime is meant. */
export const withAdminOptions = (command: Command): Command =>
  command
    .option(
      '--data-dir <dir>',
      'data folder of the runtime; its Admin socket is in there',
      process.env['ADAPTLET_DATA_DIR'],
    )
    .option(
      '--admin <address>',
      'address of the Admin service, host:port or unix:PATH',
      process.env['ADAPTLET_ADMIN_LISTEN'],
    );

const addressOf = ({ admin, dataDir }: AdminOptions): string => {
  if (admin !== undefined) return admin;
  if (dataDir === undefined) throw new Error('say which runtime: --data-dir DIR, or --admin ADDRESS');
  const socket = join(resolve(dataDir), 'admin.sock');
  if (!existsSync(socket))
    throw new Error(
      `no runtime listens at ${socket}: start one with: adaptlet serve --data-dir ${dataDir} …`,
    );
  return `unix:${socket}`;
};

/**
 * Calls one method of Admin and closes the connection. Errors carry the runtime's own message.
 */
export const callAdmin = async <T>(
  options: AdminOptions,
  call: (client: AdminClient, done: (error: ServiceError | null, value: T) => void) => unknown,
): Promise<T> => {
  const address = addressOf(options);
  const client = new AdminClient(address, credentials.createInsecure());
  try {
    return await new Promise<T>((settle, reject) => {
      call(client, (error, value) => {
        if (error === null) settle(value);
        else reject(new Error(`${address}: ${error.details}`, { cause: error }));
      });
    });
  } finally {
    client.close();
  }
};
