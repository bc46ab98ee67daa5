import type { Control } from './control.ts';
import type { ContainerAllocateResponse } from './gen/v1beta1/api.ts';

export type Devices = Control['devices'];

/** How a device looks to a container. */
export type Appearance = {
  /** Such as example.com/npu. */
  readonly resource: string;
  /** A folder of the node that each container sees. */
  readonly sharedFolder: string;
  /** A device of the node that stands for each of ours. */
  readonly deviceNode: string;
  /** With CDI names, for container runtimes that know them. */
  readonly cdi: boolean;
};

/**
 * `size` of the available devices: those that must be, then those that are near them or, where none must be, near the most
 * others.
 */
export const preferred = (
  devices: Devices,
  {
    available,
    must,
    size,
  }: { readonly available: readonly string[]; readonly must: readonly string[]; readonly size: number },
): readonly string[] => {
  const numaOf = (id: string): number => devices[id]?.numa ?? -1;
  const near = (id: string): number => {
    const others = must.length > 0 ? must : available;
    return others.filter((other) => numaOf(other) === numaOf(id)).length;
  };
  const rest = available
    .filter((id) => !must.includes(id))
    .sort((a, b) => near(b) - near(a) || numaOf(a) - numaOf(b) || (a < b ? -1 : 1));
  return [...must, ...rest].slice(0, size);
};

/**
 * What a container with these devices gets.
 * @throws Error for a device that is not there or not healthy
 */
export const allocate = (
  devices: Devices,
  ids: readonly string[],
  { resource, sharedFolder, deviceNode, cdi }: Appearance,
): ContainerAllocateResponse => {
  for (const id of ids) {
    const health = devices[id]?.health;
    if (health !== 'Healthy') throw new Error(`device ${id} is ${health ?? 'not there'}`);
  }
  return {
    envs: { NPU_VISIBLE_DEVICES: ids.join(',') },
    annotations: { [`${resource}-ids`]: ids.join(',') },
    mounts: [{ containerPath: '/opt/npu', hostPath: sharedFolder, readOnly: true }],
    devices: ids.map((_, index) => ({
      containerPath: `/dev/npu${index}`,
      hostPath: deviceNode,
      permissions: 'rw',
    })),
    cdiDevices: cdi ? ids.map((id) => ({ name: `${resource}=${id}` })) : [],
  };
};
