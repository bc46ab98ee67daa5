import { rm } from 'node:fs/promises';
import { AdminService } from '../../../../gen/adaptlet/inference/v1/admin.ts';
import { adminDescriptors } from '../../../../gen/descriptors.ts';
import { closeServer, listen } from '../../../../grpc/server.ts';
import { addReflection } from '../reflection.ts';
import { createServer, type RunningServer } from '../server.ts';
import { type AdminParts, adminService } from './service.ts';
import { bindPrivately } from './unix-socket.ts';

/** Milliseconds for which who asks about the service may read nothing of the answers. */
const slowClientMs = 30_000;

export type AdminOptions = AdminParts & {
  /** `unix:/absolute/path`, only for the runtime's own user, or `host:port`. Never the data plane's address. */
  readonly address: string;
};

/**
 * Admin and reflection, on a listener of their own.
 * @throws CONFIG_INVALID when it cannot listen
 */
export const startAdmin = async (options: AdminOptions): Promise<RunningServer> => {
  const { address, clock } = options;
  const server = createServer(options.log);
  server.addService(AdminService, adminService(options));
  addReflection(server, adminDescriptors, { clock, slowClientMs });
  if (!address.startsWith('unix:')) {
    const port = await listen(server, address);
    return { port, close: (graceMs) => closeServer(server, clock, graceMs) };
  }
  const path = address.slice('unix:'.length);
  await bindPrivately(path, async (inside) => {
    await listen(server, inside);
  });
  return {
    port: 0,
    async close(graceMs) {
      // First the name: nobody may find a socket that no longer answers.
      await rm(path, { force: true });
      await closeServer(server, clock, graceMs);
    },
  };
};
