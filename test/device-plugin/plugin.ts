import { type FSWatcher, watch } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Server, type ServerWritableStream, status } from '@grpc/grpc-js';
import type { Clock } from '../../src/time/clock.ts';
import { type Appearance, allocate, type Devices, preferred } from './allocation.ts';
import { type Control, readControl } from './control.ts';
import {
  type DevicePluginServer,
  DevicePluginService,
  type Empty,
  type ListAndWatchResponse,
  RegistrationClient,
} from './gen/v1beta1/api.ts';
import { apiVersion, identityOf, kubeletSocket, listen, removeSockets, unixAddress } from './sockets.ts';

export type PluginOptions = Appearance & {
  /** Where kubelet and plugins have their sockets. */
  readonly folder: string;
  readonly controlFile: string;
  /** Nothing is registered while this file is there. */
  readonly holdFile?: string;
  readonly clock: Clock;
  /** Told what happens. */
  readonly say: (what: string) => void;
};

type Watcher = ServerWritableStream<Empty, ListAndWatchResponse>;

/** A server on a socket of its own; a socket that the kubelet removed is never bound again. */
type Life = { readonly server: Server; readonly endpoint: string; readonly socket: string };

const options = { preStartRequired: false, getPreferredAllocationAvailable: true };
/** A socket that is there need not be listened on yet. */
const retryMs = 100;

const listOf = (devices: Devices): ListAndWatchResponse => ({
  devices: Object.entries(devices).map(([ID, { health, numa }]) => ({
    ID,
    health,
    topology: { nodes: [{ ID: BigInt(numa) }] },
  })),
});

/**
 * A device plugin from {@link Plugin.start} to `close`. Whatever happens, to the control file, the hold file or the folder of
 * sockets, leads to one comparison of what should be with what is.
 */
export class Plugin {
  readonly #options: PluginOptions;
  readonly #prefix: string;
  readonly #watchers = new Set<Watcher>();
  readonly #folders: FSWatcher[] = [];
  #control: Control = { devices: {}, serving: true };
  #life: Life | undefined;
  #lives = 0;
  /** The kubelet's socket at which this life is registered. */
  #registeredAt: string | undefined;
  #again: (() => void) | undefined;
  #work: Promise<void> = Promise.resolve();
  #waiting = false;
  #closed = false;

  private constructor(given: PluginOptions) {
    this.#options = given;
    this.#prefix = `${given.resource.replaceAll(/[^a-z0-9]/g, '-')}-`;
  }

  /** It is there, registered or not. */
  static async start(given: PluginOptions): Promise<Plugin> {
    const plugin = new Plugin(given);
    // Of a plugin that was killed.
    await removeSockets(given.folder, plugin.#prefix);
    const { folder, controlFile, holdFile = controlFile } = given;
    for (const place of new Set([folder, dirname(controlFile), dirname(holdFile)]))
      plugin.#folders.push(watch(place, () => plugin.#look()));
    plugin.#look();
    await plugin.#work;
    return plugin;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const folder of this.#folders) folder.close();
    this.#again?.();
    await this.#work;
    this.#end();
  }

  /** Several events become one look. */
  #look(): void {
    if (this.#closed || this.#waiting) return;
    this.#waiting = true;
    this.#work = this.#lookAfter(this.#work);
  }

  async #lookAfter(former: Promise<void>): Promise<void> {
    await former;
    this.#waiting = false;
    this.#again?.();
    this.#again = undefined;
    try {
      await this.#compare();
    } catch (error) {
      this.#options.say(`trouble: ${String(error)}`);
      this.#again = this.#options.clock.after(retryMs, () => this.#look());
    }
  }

  async #compare(): Promise<void> {
    if (this.#closed) return;
    const { folder, controlFile, holdFile, resource, say } = this.#options;
    this.#follow(await readControl(controlFile));
    if (!this.#control.serving) {
      this.#end();
      return;
    }
    if (this.#life !== undefined && (await identityOf(this.#life.socket)) === undefined) {
      say('the socket is gone');
      this.#end();
    }
    this.#life ??= await this.#begin();
    const kubelet = await identityOf(join(folder, kubeletSocket));
    if (kubelet === undefined || kubelet === this.#registeredAt || (await isThere(holdFile))) return;
    await this.#register(this.#life.endpoint);
    this.#registeredAt = kubelet;
    say(`registered ${resource} with ${Object.keys(this.#control.devices).join(', ')}`);
  }

  #follow(control: Control): void {
    if (isDeepStrictEqual(control, this.#control)) return;
    this.#control = control;
    this.#options.say(`devices: ${JSON.stringify(control.devices)}`);
    for (const watcher of this.#watchers) watcher.write(listOf(control.devices));
  }

  async #begin(): Promise<Life> {
    this.#lives += 1;
    const endpoint = `${this.#prefix}${process.pid}-${this.#lives}.sock`;
    const socket = join(this.#options.folder, endpoint);
    const server = new Server();
    server.addService(DevicePluginService, this.#service());
    await listen(server, socket);
    return { server, endpoint, socket };
  }

  #end(): void {
    this.#life?.server.forceShutdown();
    this.#life = undefined;
    this.#registeredAt = undefined;
    this.#watchers.clear();
  }

  async #register(endpoint: string): Promise<void> {
    const { folder, resource } = this.#options;
    const client = new RegistrationClient(...unixAddress(join(folder, kubeletSocket)));
    const request = { version: apiVersion, endpoint, resourceName: resource, options };
    try {
      await new Promise<void>((resolve, reject) => {
        client.register(request, (error) => {
          if (error === null) resolve();
          else reject(error);
        });
      });
    } finally {
      client.close();
    }
  }

  #service(): DevicePluginServer {
    const { say } = this.#options;
    return {
      getDevicePluginOptions: (_, answer) => answer(null, options),
      listAndWatch: (watcher) => {
        this.#watchers.add(watcher);
        watcher.on('cancelled', () => this.#watchers.delete(watcher));
        watcher.write(listOf(this.#control.devices));
      },
      getPreferredAllocation: ({ request }, answer) => {
        const containerResponses = request.containerRequests.map((one) => ({
          deviceIDs: [
            ...preferred(this.#control.devices, {
              available: one.availableDeviceIDs,
              must: one.mustIncludeDeviceIDs,
              size: one.allocationSize,
            }),
          ],
        }));
        answer(null, { containerResponses });
      },
      allocate: ({ request }, answer) => {
        try {
          const containerResponses = request.containerRequests.map(({ devicesIds }) =>
            allocate(this.#control.devices, devicesIds, this.#options),
          );
          say(`allocated ${request.containerRequests.flatMap(({ devicesIds }) => devicesIds).join(', ')}`);
          answer(null, { containerResponses });
        } catch (error) {
          answer({ code: status.INVALID_ARGUMENT, details: String(error) });
        }
      },
      preStartContainer: (_, answer) => answer(null, {}),
    };
  }
}

const isThere = (file: string | undefined): Promise<boolean> =>
  file === undefined
    ? Promise.resolve(false)
    : access(file).then(
        () => true,
        () => false,
      );
