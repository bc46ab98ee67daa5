import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { debianPackages } from '../../image/materials/debian.ts';

/** Node of an image for arm64 on another processor, by QEMU. */
export type EmulatedNode = {
  /** Runs Node with the arguments that follow; processes that it starts run in the same way. */
  readonly command: readonly [string, ...string[]];
  /** A module that has a Node start its child processes so, whatever it is itself. */
  readonly preload: string;
};

/** QEMU from Debian's package, which is not installed. */
export const emulator = async (): Promise<string> => {
  const [qemu] = await debianPackages(['qemu-user'], 'amd64');
  return join(qemu?.files ?? '', 'usr/bin/qemu-aarch64');
};

/**
 * QEMU is not installed: the system is not told about it, so Node has to start its own kind
 * through a script. Libraries come from `rootfs`, all other files from this machine.
 */
export const emulatedNode = async (rootfs: string, folder: string): Promise<EmulatedNode> => {
  const qemu = await emulator();
  const [script, preload] = [join(folder, 'node-arm64'), join(folder, 'node-arm64.mjs')];
  await writeFile(
    script,
    `#!/bin/sh\nexec '${qemu}' -L '${rootfs}' '${rootfs}/usr/bin/node' --import '${preload}' "$@"\n`,
  );
  await chmod(script, 0o755);
  await writeFile(preload, `process.execPath = ${JSON.stringify(script)};\n`);
  return { command: [script], preload };
};
