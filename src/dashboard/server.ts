import { createServer } from 'node:http';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { isLoopback, listenOn } from '../settings/address.ts';
import { type DashboardParts, dashboardHandler } from './handler.ts';

/** People, and what they forward ports by. */
const maxConnections = 64;

/**
 * Serves the page on loopback; the stack ends it. Gives the port.
 * @throws CONFIG_INVALID when it cannot listen, or where others than this machine, or this pod, would reach it
 */
export const startPage = async (
  address: string,
  parts: DashboardParts,
  stack: AsyncDisposableStack,
): Promise<number> => {
  if (!isLoopback(address))
    throw new AdaptletError(
      'CONFIG_INVALID',
      `the dashboard would be open to the network on ${address}, without TLS`,
      {
        advice:
          'Give it an address on 127.0.0.1; people reach that of an operator by `kubectl adaptlet dashboard`.',
      },
    );
  const handler = dashboardHandler(parts);
  const server = createServer({ maxHeaderSize: 32 << 10, requestTimeout: 10_000 }, (request, response) => {
    void handler(request, response);
  });
  server.maxConnections = maxConnections;
  const port = await listenOn(server, address);
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return port;
};
