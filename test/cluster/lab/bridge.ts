/**
 * The process that sits in a network namespace for {@link Network.forward}: it gets listening sockets of another
 * namespace, and for each connection that it accepts there it makes one here.
 */
import { connect, type Server, type Socket } from 'node:net';

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
    incoming.setNoDelay(true);
    join(incoming, outgoing);
    join(outgoing, incoming);
  });
  process.send?.(from);
});
process.once('disconnect', () => process.exit());
