/**
 * The simulated device plugin as a process: RESOURCE, PLUGIN_FOLDER, CONTROL_FILE, and, where they are set, HOLD_FILE,
 * SHARED_FOLDER, DEVICE_NODE and CDI=true.
 */
import { dirname } from 'node:path';
import { systemClock } from '../../src/time/clock.ts';
import { Plugin } from './plugin.ts';

const { env } = process;
const controlFile = env['CONTROL_FILE'] ?? '/var/lib/npu/control.json';
const plugin = await Plugin.start({
  resource: env['RESOURCE'] ?? 'example.com/npu',
  folder: env['PLUGIN_FOLDER'] ?? '/var/lib/kubelet/device-plugins',
  controlFile,
  ...(env['HOLD_FILE'] === undefined ? {} : { holdFile: env['HOLD_FILE'] }),
  sharedFolder: env['SHARED_FOLDER'] ?? dirname(controlFile),
  deviceNode: env['DEVICE_NODE'] ?? '/dev/null',
  cdi: env['CDI'] === 'true',
  clock: systemClock,
  say: (what) => console.log(what),
});
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    void plugin.close().then(() => process.exit(0));
  });
