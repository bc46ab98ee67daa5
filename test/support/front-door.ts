import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

type Target = { readonly host: string; readonly port: number };

/** open: passes bytes on. cut: resets and refuses. silent: connections stay, nothing passes, as with a lost link. */
export type DoorMode = 'open' | 'cut' | 'silent';

type Door = { readonly server: Server; readonly pairs: Set<readonly [Socket, Socket]>; mode: DoorMode };

/**
 * What a Service is for runtimes: an address in front of the replicas; here one for each runtime, so that a test can
 * cut one of them off. A new connection goes to the next replica that accepts it.
 */
export class FrontDoor {
  readonly #targets = new Map<string, Target>();
  readonly #doors = new Map<string, Door>();
  #turn = 0;
  /** Bytes that went to each runtime. */
  readonly received = new Map<string, number>();

  /** Where connections may go; another address of the same name takes its place. */
  route(name: string, address: string): void {
    const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
    this.#targets.set(name, { host, port: Number(port) });
  }

  /** Opens a door for a runtime, once; gives its host:port. */
  async addressOf(runtime: string): Promise<string> {
    const door = this.#doors.get(runtime) ?? (await this.#open(runtime));
    return `127.0.0.1:${(door.server.address() as AddressInfo).port}`;
  }

  set(runtime: string, mode: DoorMode): void {
    const door = this.#doors.get(runtime);
    if (door === undefined) throw new Error(`there is no door of ${runtime}`);
    door.mode = mode;
    for (const [client, upstream] of door.pairs) {
      if (mode === 'cut') {
        client.resetAndDestroy();
        upstream.resetAndDestroy();
      }
      for (const socket of [client, upstream]) {
        if (mode === 'silent') socket.pause();
        else socket.resume();
      }
    }
  }

  close(): void {
    for (const { server, pairs } of this.#doors.values()) {
      for (const [client, upstream] of pairs) {
        client.destroy();
        upstream.destroy();
      }
      server.close();
    }
  }

  async #open(runtime: string): Promise<Door> {
    const server = createServer({ pauseOnConnect: true }, (client) => {
      client.on('error', () => undefined);
      if (door.mode === 'cut') client.resetAndDestroy();
      else this.#pass(runtime, door, client, [...this.#targets.values()].length);
    });
    const door: Door = { server, pairs: new Set(), mode: 'open' };
    this.#doors.set(runtime, door);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return door;
  }

  #pass(runtime: string, door: Door, client: Socket, tries: number): void {
    const targets = [...this.#targets.values()];
    const target = targets[this.#turn++ % targets.length];
    if (target === undefined || tries === 0) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(target);
    upstream.once('error', () => this.#pass(runtime, door, client, tries - 1));
    upstream.once('connect', () => {
      upstream.removeAllListeners('error');
      const pair = [client, upstream] as const;
      door.pairs.add(pair);
      const end = (): void => {
        door.pairs.delete(pair);
        client.destroy();
        upstream.destroy();
      };
      for (const socket of pair) socket.on('error', end).on('close', end);
      client.on('data', (chunk) => upstream.write(chunk));
      upstream.on('data', (chunk) => {
        this.received.set(runtime, (this.received.get(runtime) ?? 0) + chunk.length);
        client.write(chunk);
      });
      if (door.mode === 'silent') {
        client.pause();
        upstream.pause();
      } else client.resume();
    });
  }
}
