/**
 * The process that sits in a network namespace for {@link Network.forward}: it gets listening sockets of another
 * namespace, and for each connection that it accepts there it makes one here.
 */
import { connect, type Server, type Socket } from 'node:net';

/**
 * Milliseconds for a connection to come about. The kernel would try for two minutes, and whoever is at the other end of the
 * bridge believes meanwhile that it is connected.
 */
const connectMs = 3000;

/** Where the connections of the socket at port `from` lead. */
export type ForwardRequest = { readonly from: number; readonly host: string; readonly port: number };

const join = (from: Socket, to: Socket): void => {
  from.pipe(to);
  // What one side does to its connection is what the other side sees.
  from.once('error', () => to.resetAndDestroy());
  from.once('close', () => to.destroySoon());
};

process.on('message', ({ from, host, port }: ForwardRequest, server: Server) => {
  server.on('connection', (incoming) => {
    const outgoing = connect({ host, port, noDelay: true });
    const giveUp = setTimeout(() => outgoing.destroy(new Error('nobody answers')), connectMs);
    outgoing.once('connect', () => clearTimeout(giveUp)).once('close', () => clearTimeout(giveUp));
    incoming.setNoDelay(true);
    join(incoming, outgoing);
    join(outgoing, incoming);
  });
  process.send?.(from);
});
process.once('disconnect', () => process.exit());
