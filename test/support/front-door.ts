import type { Socket } from 'node:net';
import { parseAddress } from '../../src/settings/address.ts';
import { connectTo, startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

/** open: passes bytes on. cut: resets and refuses. silent: connections stay, nothing passes, as with a lost link. */
export type DoorMode = 'open' | 'cut' | 'silent';

/**
 * What a Service is for runtimes: an address in front of the replicas; here one for each runtime, so that a test can
 * cut one of them off. A new connection goes to the next replica that accepts it.
 */
export class FrontDoor {
  /** host:port of each replica, by name. */
  readonly #targets = new Map<string, string>();
  readonly #doors = new Map<string, TcpProxy>();
  #turn = 0;

  /** Bytes that went to each runtime. */
  get received(): ReadonlyMap<string, number> {
    return new Map([...this.#doors].map(([runtime, door]) => [runtime, door.received]));
  }

  /** Where connections may go; another address of the same name takes its place. */
  route(name: string, address: string): void {
    this.#targets.set(name, address);
  }

  /** Opens a door for a runtime, once; gives its host:port. */
  async addressOf(runtime: string): Promise<string> {
    const door = this.#doors.get(runtime) ?? (await startTcpProxy(() => this.#reach()));
    this.#doors.set(runtime, door);
    return `127.0.0.1:${door.port}`;
  }

  set(runtime: string, mode: DoorMode): void {
    const door = this.#doors.get(runtime);
    if (door === undefined) throw new Error(`there is no door of ${runtime}`);
    if (mode === 'cut') door.refuse();
    else door.accept();
    if (mode === 'silent') door.freeze();
    else door.thaw();
  }

  async close(): Promise<void> {
    for (const door of this.#doors.values()) await door[Symbol.asyncDispose]();
  }

  async #reach(): Promise<Socket> {
    let refusal: unknown;
    for (const _ of this.#targets) {
      const targets = [...this.#targets.values()];
      const { host, port } = parseAddress(targets[this.#turn++ % targets.length] ?? '');
      try {
        return await connectTo(port, host);
      } catch (error) {
        refusal = error;
      }
    }
    throw refusal;
  }
}
