import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/time/clock.ts';
import { preferred } from '../../device-plugin/allocation.ts';
import type { ControlFile } from '../../device-plugin/control.ts';
import { FakeKubelet } from '../../device-plugin/fake-kubelet.ts';
import { Plugin, type PluginOptions } from '../../device-plugin/plugin.ts';
import { folderOfTest } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait.ts';

const resource = 'example.com/npu';
const two = { 'npu-0': { health: 'Healthy' }, 'npu-1': { health: 'Healthy' } } as const;

let root: string;
let kubelet: FakeKubelet;
let plugin: Plugin | undefined;
const said: string[] = [];

const place = (name: string): string => join(root, name);
const control = async (what: ControlFile): Promise<void> => {
  await writeFile(place('draft'), JSON.stringify(what));
  await rename(place('draft'), join(place('control'), 'control.json'));
};
const start = async (more: Partial<PluginOptions> = {}): Promise<Plugin> => {
  plugin = await Plugin.start({
    resource,
    folder: place('sockets'),
    controlFile: join(place('control'), 'control.json'),
    sharedFolder: place('control'),
    deviceNode: '/dev/null',
    cdi: false,
    clock: systemClock,
    say: (what) => said.push(what),
    ...more,
  });
  return plugin;
};
const amounts = (capacity: number, allocatable: number): Promise<unknown> =>
  waitFor(`${allocatable} of ${capacity} devices`, () => {
    const now = kubelet.amounts(resource);
    return now?.capacity === capacity && now.allocatable === allocatable;
  });

beforeEach(async () => {
  root = folderOfTest();
  said.length = 0;
  for (const folder of ['sockets', 'control']) await mkdir(place(folder));
  kubelet = new FakeKubelet(place('sockets'));
  await control({ devices: two });
});
afterEach(async () => {
  await plugin?.close();
  plugin = undefined;
  kubelet.stop();
});

describe('the simulated device plugin', () => {
  it('gives a container variables, a mount, device nodes, annotations and CDI names of two devices', async () => {
    await kubelet.start();
    await start({ cdi: true });
    await amounts(2, 2);
    expect(await kubelet.allocate(resource, 2)).toEqual({
      envs: { NPU_VISIBLE_DEVICES: 'npu-0,npu-1' },
      annotations: { 'example.com/npu-ids': 'npu-0,npu-1' },
      mounts: [{ containerPath: '/opt/npu', hostPath: place('control'), readOnly: true }],
      devices: [
        { containerPath: '/dev/npu0', hostPath: '/dev/null', permissions: 'rw' },
        { containerPath: '/dev/npu1', hostPath: '/dev/null', permissions: 'rw' },
      ],
      cdiDevices: [{ name: 'example.com/npu=npu-0' }, { name: 'example.com/npu=npu-1' }],
    });
    await expect(kubelet.allocate(resource, 1)).rejects.toThrow(/Insufficient/);
  });

  it('tells of a device that is unhealthy, gives it to nobody, and tells when it is well again', async () => {
    await kubelet.start();
    await start();
    await amounts(2, 2);
    await control({ devices: { ...two, 'npu-1': { health: 'Unhealthy' } } });
    await amounts(2, 1);
    await expect(kubelet.allocateThese(resource, ['npu-1'])).rejects.toThrow(/npu-1 is Unhealthy/);
    expect((await kubelet.allocate(resource, 1)).envs).toEqual({ NPU_VISIBLE_DEVICES: 'npu-0' });
    await control({ devices: two });
    await amounts(2, 2);
    expect((await kubelet.allocate(resource, 1)).envs).toEqual({ NPU_VISIBLE_DEVICES: 'npu-1' });
  });

  it('tells of devices that vanish and come', async () => {
    await kubelet.start();
    await start();
    await amounts(2, 2);
    await control({ devices: { 'npu-1': two['npu-1'] } });
    await amounts(1, 1);
    await expect(kubelet.allocateThese(resource, ['npu-0'])).rejects.toThrow(/npu-0 is not there/);
    await control({ devices: { ...two, 'npu-2': { health: 'Healthy', numa: 1 } } });
    await amounts(3, 3);
  });

  it('registers again with each kubelet that starts, which takes its socket away', async () => {
    await kubelet.start();
    await start();
    await amounts(2, 2);
    for (let round = 0; round < 3; round += 1) {
      kubelet.stop();
      expect(kubelet.amounts(resource)).toBeUndefined();
      await kubelet.start();
      await amounts(2, 2);
      expect((await kubelet.allocate(resource, 2)).devices).toHaveLength(2);
    }
    expect(kubelet.registrations).toBe(4);
    // A socket for the life that it has, and none of former ones.
    expect(readdirSync(place('sockets')).toSorted()).toEqual([
      expect.stringMatching(/^example-com-npu-.*\.sock$/),
      'kubelet.sock',
    ]);
  });

  it('waits for a kubelet that is not there yet', async () => {
    await start();
    expect(said.join()).not.toContain('registered');
    await kubelet.start();
    await amounts(2, 2);
  });

  it('does not register while it is held back', async () => {
    const holdFile = join(place('control'), 'hold');
    await writeFile(holdFile, '');
    await kubelet.start();
    await start({ holdFile });
    // It has seen this change, and was held back with it.
    await control({ devices: { 'npu-7': { health: 'Healthy' } } });
    await waitFor('the change', () => said.some((line) => line.includes('npu-7')));
    expect(kubelet.amounts(resource)).toBeUndefined();
    await rm(holdFile);
    await amounts(1, 1);
  });

  it('can be gone and come back, with nothing healthy in between', async () => {
    await kubelet.start();
    await start();
    await amounts(2, 2);
    await control({ devices: two, serving: false });
    await amounts(2, 0);
    await control({ devices: two });
    await amounts(2, 2);
    await plugin?.close();
    await amounts(2, 0);
    expect(readdirSync(place('sockets'))).toEqual(['kubelet.sock']);
  });

  it('says what is wrong with its control file, and goes on with what it had', async () => {
    await kubelet.start();
    await start();
    await amounts(2, 2);
    await writeFile(join(place('control'), 'control.json'), '{"devices": 3}');
    await waitFor('the trouble', () => said.some((line) => line.startsWith('trouble')));
    expect(kubelet.amounts(resource)).toEqual({ capacity: 2, allocatable: 2 });
    await control({ devices: { 'npu-0': two['npu-0'] } });
    await amounts(1, 1);
    expect(existsSync(place('draft'))).toBe(false);
  });
});

describe('devices that are preferred', () => {
  const on = (numa: number) => ({ health: 'Healthy', numa }) as const;
  const devices = { a: on(0), b: on(1), c: on(1), d: on(0), e: on(1) };

  it('are near each other', () => {
    const available = Object.keys(devices);
    expect(preferred(devices, { available, must: [], size: 2 })).toEqual(['b', 'c']);
    expect(preferred(devices, { available, must: ['d'], size: 2 })).toEqual(['d', 'a']);
    expect(preferred(devices, { available: ['a', 'b'], must: [], size: 1 })).toEqual(['a']);
  });
});
