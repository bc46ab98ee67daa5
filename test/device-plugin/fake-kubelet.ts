import { join } from 'node:path';
import { Server, status } from '@grpc/grpc-js';
import {
  type AllocateResponse,
  type ContainerAllocateResponse,
  DevicePluginClient,
  type RegisterRequest,
  RegistrationService,
} from './gen/v1beta1/api.ts';
import { apiVersion, kubeletSocket, listen, removeSockets, unixAddress } from './sockets.ts';

/** A resource as a node reports it. */
type Resource = {
  readonly client: DevicePluginClient;
  readonly endpoint: string;
  /** Health by id; all are unhealthy once the plugin is gone. */
  devices: ReadonlyMap<string, boolean>;
  readonly allocated: Set<string>;
};

const call = async <T>(send: (answer: (error: Error | null, value: T) => void) => unknown): Promise<T> =>
  await new Promise<T>((resolve, reject) => {
    send((error, value) => {
      if (error === null) resolve(value);
      else reject(error);
    });
  });

/** The kubelet's side of the device plugin API, as pkg/kubelet/cm/devicemanager does it: registration, health, allocation. */
export class FakeKubelet {
  readonly #folder: string;
  readonly #resources = new Map<string, Resource>();
  /** Registrations since the start. */
  registrations = 0;
  #server: Server | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** It empties the folder first, as the real one does: plugins have to come again. */
  async start(): Promise<void> {
    await removeSockets(this.#folder);
    const server = new Server();
    server.addService(RegistrationService, {
      register: (
        { request }: { request: RegisterRequest },
        answer: (error: object | null, value?: object) => void,
      ) => {
        const { version, resourceName } = request;
        if (version !== apiVersion || !/^[a-z0-9.-]+\/[A-Za-z0-9._-]+$/.test(resourceName)) {
          answer({ code: status.INVALID_ARGUMENT, details: `${version} ${resourceName} is not supported` });
          return;
        }
        answer(null, {});
        this.#follow(request);
      },
    });
    await listen(server, join(this.#folder, kubeletSocket));
    this.#server = server;
  }

  stop(): void {
    for (const { client } of this.#resources.values()) client.close();
    this.#resources.clear();
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  /** What the node would report; undefined for a resource that was never registered. */
  amounts(resource: string): { readonly capacity: number; readonly allocatable: number } | undefined {
    const known = this.#resources.get(resource);
    if (known === undefined) return undefined;
    const healthy = [...known.devices.values()].filter(Boolean).length;
    return { capacity: known.devices.size, allocatable: healthy };
  }

  /**
   * What a container that wants so many devices gets.
   * @throws Error when there are not so many that are healthy and free
   */
  async allocate(resource: string, size: number): Promise<ContainerAllocateResponse> {
    const known = this.#resources.get(resource);
    const free = [...(known?.devices ?? [])].filter(([id, ok]) => ok && known?.allocated.has(id) === false);
    if (known === undefined || free.length < size)
      throw new Error(`Insufficient ${resource}: ${size} of ${free.length}`);
    const { client, allocated } = known;
    const { containerResponses: choices } = await call<{ containerResponses: { deviceIDs: string[] }[] }>(
      (answer) =>
        client.getPreferredAllocation(
          {
            containerRequests: [
              { availableDeviceIDs: free.map(([id]) => id), mustIncludeDeviceIDs: [], allocationSize: size },
            ],
          },
          answer,
        ),
    );
    const ids = choices[0]?.deviceIDs ?? [];
    const { containerResponses } = await this.allocateThese(resource, ids);
    for (const id of ids) allocated.add(id);
    const [response] = containerResponses;
    if (response === undefined) throw new Error('the plugin answered for no container');
    return response;
  }

  /** Asks for devices by id, whatever their health. */
  async allocateThese(resource: string, ids: readonly string[]): Promise<AllocateResponse> {
    const known = this.#resources.get(resource);
    if (known === undefined) throw new Error(`${resource} is not registered`);
    const request = { containerRequests: [{ devicesIds: [...ids] }] };
    return await call<AllocateResponse>((answer) => known.client.allocate(request, answer));
  }

  #follow({ endpoint, resourceName }: RegisterRequest): void {
    this.registrations += 1;
    this.#resources.get(resourceName)?.client.close();
    const client = new DevicePluginClient(...unixAddress(join(this.#folder, endpoint)));
    const resource: Resource = { client, endpoint, devices: new Map(), allocated: new Set() };
    this.#resources.set(resourceName, resource);
    const list = client.listAndWatch({});
    list.on('data', ({ devices }: { devices: { ID: string; health: string }[] }) => {
      resource.devices = new Map(devices.map(({ ID, health }) => [ID, health === 'Healthy']));
    });
    list.on('error', () => {
      resource.devices = new Map([...resource.devices.keys()].map((id) => [id, false]));
    });
  }
}
