import { type Server, ServerCredentials, setLogger } from '@grpc/grpc-js';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Log } from '../telemetry/log.ts';
import type { Clock } from '../time/clock.ts';

const detail = (...parts: unknown[]): object => ({ detail: parts.map(String).join(' ') });

/** What grpc-js says goes to `log`: it writes plain text to stderr otherwise, between the JSON lines. Of the process. */
export const logGrpc = (log: Log): void =>
  setLogger({
    error: (...parts) => log.warn(detail(...parts), 'grpc'),
    info: (...parts) => log.debug(detail(...parts), 'grpc'),
    debug: (...parts) => log.debug(detail(...parts), 'grpc'),
  });

/**
 * Lets a server listen and gives its TCP port; 0 on a unix socket. `address`: `host:port`, port 0 for any free one, or
 * `unix:/path`.
 * @throws CONFIG_INVALID when it cannot
 */
export const listen = (
  server: Server,
  address: string,
  credentials: ServerCredentials = ServerCredentials.createInsecure(),
): Promise<number> =>
  new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (cause, port) => {
      // On a unix socket grpc-js reports 1.
      if (cause === null) resolve(address.startsWith('unix:') ? 0 : port);
      else
        reject(
          new AdaptletError('CONFIG_INVALID', `cannot listen on ${address}: ${cause.message}`, {
            advice: 'Stop what listens there, or name another address.',
            cause,
          }),
        );
    });
  });

/** Ends new requests at once, waits for those under way for at most `graceMs`, then cuts them. */
export const closeServer = (server: Server, clock: Clock, graceMs: number): Promise<void> =>
  new Promise((resolve) => {
    const stopTimer = clock.after(graceMs, () => {
      server.forceShutdown();
      // grpc-js goes on waiting for connections that never became HTTP/2: whoever opened them decides when they end.
      resolve();
    });
    server.tryShutdown(() => {
      stopTimer();
      resolve();
    });
  });
