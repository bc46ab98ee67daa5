import { join } from 'node:path';
import type { Admin } from '../admin/admin.ts';
import type { Settings } from '../config/settings.ts';
import type { Parts } from '../server/exchange.ts';
import { startAdmin } from '../server/grpc/admin/server.ts';
import { startGrpc } from '../server/grpc/server.ts';
import { startHealth, startHttp } from '../server/http/server.ts';

export type Addresses = {
  readonly grpcAddress: string;
  readonly httpUrl: string;
  /** Where health and metrics have a listener of their own. */
  readonly healthUrl?: string;
  readonly adminAddress: string;
};

/** How long requests may take to finish when the runtime stops, in milliseconds. */
const graceMs = 10_000;

const withPort = (address: string, port: number): string => address.replace(/:\d+$/, `:${port}`);

/**
 * Starts gRPC, HTTP, Admin and, where they have a listener of their own, health and metrics; the stack closes them.
 * @throws CONFIG_INVALID that names the address that is taken
 */
export const startServers = async (
  parts: Parts & { readonly admin: Admin; readonly version: string },
  settings: Settings,
  stack: AsyncDisposableStack,
): Promise<Addresses> => {
  const running: { close(graceMs: number): Promise<void> }[] = [];
  // All at the same time: what is stopping takes no new request on any of them.
  stack.defer(async () => {
    await Promise.all(running.map((server) => server.close(graceMs)));
  });
  const grpc = await startGrpc({ ...parts, address: settings.grpcListen });
  running.push(grpc);
  const http = await startHttp({ ...parts, address: settings.httpListen });
  running.push(http);
  const { healthListen } = settings;
  const health =
    healthListen === undefined ? undefined : await startHealth({ ...parts, address: healthListen });
  if (health !== undefined) running.push(health);
  const adminAddress = settings.adminListen ?? `unix:${join(settings.dataDir, 'admin.sock')}`;
  const admin = await startAdmin({ ...parts, address: adminAddress });
  running.push(admin);
  return {
    grpcAddress: withPort(settings.grpcListen, grpc.port),
    httpUrl: `http://${withPort(settings.httpListen, http.port)}`,
    ...(health === undefined ? {} : { healthUrl: `http://${withPort(healthListen ?? '', health.port)}` }),
    adminAddress: adminAddress.startsWith('unix:') ? adminAddress : withPort(adminAddress, admin.port),
  };
};
