import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab, labObstacles, workloadImage } from '../../cluster/lab/index.ts';
import { bundlePlugin } from '../../device-plugin/bundle.ts';
import type { ControlFile } from '../../device-plugin/control.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait.ts';

const obstacles = labObstacles();
const resource = 'example.com/npu';
/** A folder of the node: Node, the plugin, and its control file. */
const place = '/var/lib/npu';
const patience = 90_000;
const healthy = { health: 'Healthy' } as const;
const two = { 'npu-0': healthy, 'npu-1': healthy };

let lab: Lab;
const folder = folderOfTests();
let namespace: string;

const apply = (item: unknown): Promise<string> => lab.kubectlOk(['apply', '-f', '-'], JSON.stringify(item));

/** A file of this machine, or a text, in the folder of the node. */
const put = async (
  name: string,
  from: { readonly file: string } | { readonly text: string },
): Promise<void> => {
  const file = 'file' in from ? from.file : join(folder, 'text');
  if ('text' in from) await writeFile(file, from.text);
  const script = `mkdir -p ${place} && cat > ${place}/.draft && chmod 755 ${place}/.draft && mv ${place}/.draft ${place}/${name}`;
  await lab.node(1).runOk(['sh', '-c', script], file);
};
const control = (what: ControlFile): Promise<void> => put('control.json', { text: JSON.stringify(what) });

/** The image of the lab has one static program: Node and its libraries are the node's. */
const folders = { npu: place, lib: '/lib', lib64: '/lib64', usr: '/usr' };
const nodeJs = (args: readonly string[], more: object = {}) => ({
  name: 'main',
  image: workloadImage,
  imagePullPolicy: 'IfNotPresent',
  command: [`${place}/node`, ...args],
  volumeMounts: Object.entries(folders).map(([name, mountPath]) => ({ name, mountPath, readOnly: true })),
  ...more,
});
const volumes = Object.entries(folders).map(([name, path]) => ({ name, hostPath: { path } }));

const plugin = () => {
  const labels = { app: 'npu-plugin' };
  const sockets = { name: 'sockets', mountPath: '/var/lib/kubelet/device-plugins' };
  const container = nodeJs([`${place}/plugin.mjs`]);
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { namespace, name: 'npu-plugin' },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [{ ...container, volumeMounts: [...container.volumeMounts, sockets] }],
          volumes: [...volumes, { name: sockets.name, hostPath: { path: sockets.mountPath } }],
        },
      },
    },
  };
};

/** Says what it got, then lives on. */
const look = `
  const fs = require('node:fs');
  const devices = fs.readdirSync('/dev').filter((name) => name.startsWith('npu'));
  console.log(JSON.stringify({
    ids: process.env.NPU_VISIBLE_DEVICES.split(',').length,
    control: fs.existsSync('/opt/npu/control.json'),
    devices,
    isDevice: devices.every((name) => fs.statSync('/dev/' + name).isCharacterDevice()),
  }));
  setInterval(() => undefined, 1000);
`;
const user = (name: string, count: number) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace, name },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [nodeJs(['-e', look], { resources: { limits: { [resource]: count } } })],
    volumes,
  },
});

type Amounts = Readonly<Record<string, string>>;
type Pod = {
  readonly status: {
    readonly phase: string;
    readonly conditions?: readonly { readonly type: string; readonly message?: string }[];
  };
};
const amounts = (capacity: number, allocatable: number): Promise<unknown> =>
  waitFor(
    `${allocatable} of ${capacity} devices`,
    async () => {
      const node = await lab.get<{ status: { capacity: Amounts; allocatable: Amounts } }>(
        'node',
        'node-1',
        '',
      );
      const { capacity: all, allocatable: usable } = node?.status ?? {};
      return all?.[resource] === String(capacity) && usable?.[resource] === String(allocatable);
    },
    patience,
  );
const isPending = (name: string, why: string): Promise<unknown> =>
  waitFor(
    `${name} to be Pending: ${why}`,
    async () => {
      const { status } = (await lab.get<Pod>('pod', name, namespace)) ?? {};
      return (
        status?.phase === 'Pending' && status.conditions?.some(({ message = '' }) => message.includes(why))
      );
    },
    patience,
  );
/** What a pod says that has got its devices. */
const saidBy = async (name: string): Promise<unknown> =>
  await waitFor(
    `${name} to say what it has`,
    async () => {
      const text = await lab.kubectlOk(['-n', namespace, 'logs', name]);
      return text === '' ? undefined : (JSON.parse(text) as unknown);
    },
    patience,
  );
const registrations = async (): Promise<number> =>
  (await lab.kubectlOk(['-n', namespace, 'logs', 'ds/npu-plugin']))
    .split('\n')
    .filter((line) => line.startsWith('registered')).length;

describe.skipIf(obstacles.length > 0)(
  `the simulated device plugin with a real kubelet${obstacles.length > 0 ? ` (SKIPPED: ${obstacles.join('; ')})` : ''}`,
  () => {
    beforeAll(async () => {
      lab = await Lab.start({ nodes: 1 });
      namespace = await lab.createNamespace();
      await bundlePlugin(join(folder, 'plugin.mjs'));
      await put('plugin.mjs', { file: join(folder, 'plugin.mjs') });
      await put('node', { file: process.execPath });
      await control({ devices: two });
    });
    afterAll(async () => {
      await lab?.close();
    });

    it('lets pods wait until it is there, and gives each its variables, mount and devices', async () => {
      await apply(user('one', 1));
      await isPending('one', `Insufficient ${resource}`);
      await apply(plugin());
      expect(await saidBy('one')).toEqual({ ids: 1, control: true, devices: ['npu0'], isDevice: true });
      await amounts(2, 2);
      await apply(user('too-many', 2));
      await isPending('too-many', `Insufficient ${resource}`);
      await lab.kubectlOk(['-n', namespace, 'delete', 'pod', 'one', '--wait=false']);
      const both = { ids: 2, control: true, devices: ['npu0', 'npu1'], isDevice: true };
      expect(await saidBy('too-many')).toEqual(both);
      await lab.kubectlOk(['-n', namespace, 'delete', 'pod', 'too-many']);
    });

    it('makes a device that is unhealthy allocatable to nobody until it is well', async () => {
      await control({ devices: { ...two, 'npu-1': { health: 'Unhealthy' } } });
      await amounts(2, 1);
      await apply(user('pair', 2));
      await isPending('pair', `Insufficient ${resource}`);
      await control({ devices: two });
      await amounts(2, 2);
      expect(await saidBy('pair')).toMatchObject({ ids: 2, isDevice: true });
    });

    it('registers again with a kubelet that was killed, and pods that have devices live on', async () => {
      const before = await registrations();
      await lab.node(1).kubelet.kill();
      await waitFor('another registration', async () => (await registrations()) > before, patience);
      await amounts(2, 2);
      const pair = await lab.get<Pod>('pod', 'pair', namespace);
      expect(pair?.status.phase).toBe('Running');
    });

    it('takes its devices with it when it is gone', async () => {
      await control({ devices: two, serving: false });
      await amounts(2, 0);
      await control({ devices: two });
      await amounts(2, 2);
    });
  },
);
