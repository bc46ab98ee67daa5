import { join } from 'node:path';
import { isLoopback } from '../../settings/address.ts';
import { metricsAccess } from '../../telemetry/metrics-access.ts';
import type { Admin } from '../admin/admin.ts';
import type { Callers } from '../callers/callers.ts';
import type { Settings } from '../config/settings.ts';
import type { Parts } from '../server/exchange.ts';
import { startAdmin } from '../server/grpc/admin/server.ts';
import { startGrpc } from '../server/grpc/server.ts';
import { startHealth, startHttp } from '../server/http/server.ts';
import type { CertificateFiles } from '../server/tls/certificate-files.ts';

export type Addresses = {
  readonly grpcAddress: string;
  readonly httpUrl: string;
  /** Where health and metrics have a listener of their own. */
  readonly healthUrl?: string;
  readonly adminAddress: string;
};

export type ServersParts = Omit<Parts, 'identify'> & {
  readonly callers: Callers;
  readonly admin: Admin;
  /** Of the request ports; undefined: they have no TLS. */
  readonly tls: CertificateFiles | undefined;
  readonly version: string;
  /** Of Adapters and rollouts that Admin is asked for by their bare names. */
  readonly defaultNamespace: string;
};

/** How long requests may take to finish when the runtime stops, in milliseconds. */
const graceMs = 10_000;

const withPort = (address: string, port: number): string => address.replace(/:\d+$/, `:${port}`);

/**
 * Starts gRPC, HTTP, Admin and, where they have a listener of their own, health and metrics; the stack closes them.
 * @throws CONFIG_INVALID that names the address that is taken
 */
export const startServers = async (
  parts: ServersParts,
  settings: Settings,
  stack: AsyncDisposableStack,
): Promise<Addresses> => {
  const { callers, tls } = parts;
  const { grpcListen, httpListen, healthListen, httpMetrics } = settings;
  const running: { close(graceMs: number): Promise<void> }[] = [];
  // All at the same time: what is stopping takes no new request on any of them.
  stack.defer(async () => {
    await Promise.all(running.map((server) => server.close(graceMs)));
  });
  const listener = (address: string) => {
    return { ...parts, address, identify: callers.on({ isLoopback: isLoopback(address) }) };
  };
  const grpc = await startGrpc(listener(grpcListen));
  running.push(grpc);
  const hasMetrics = httpMetrics === 'on' || (httpMetrics === 'auto' && isLoopback(httpListen));
  const http = await startHttp({ ...listener(httpListen), hasMetrics });
  running.push(http);
  const access = await metricsAccess(settings);
  const health =
    healthListen === undefined
      ? undefined
      : await startHealth({ ...listener(healthListen), tls: undefined, access });
  if (health !== undefined) running.push(health);
  const adminAddress = settings.adminListen ?? `unix:${join(settings.dataDir, 'admin.sock')}`;
  const admin = await startAdmin({ ...parts, address: adminAddress });
  running.push(admin);
  return {
    grpcAddress: withPort(grpcListen, grpc.port),
    httpUrl: `${tls === undefined ? 'http' : 'https'}://${withPort(httpListen, http.port)}`,
    ...(health === undefined ? {} : { healthUrl: `http://${withPort(healthListen ?? '', health.port)}` }),
    adminAddress: adminAddress.startsWith('unix:') ? adminAddress : withPort(adminAddress, admin.port),
  };
};
