import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dnsAddress } from '../../cluster/lab/addresses.ts';
import type { Network } from '../../cluster/lab/network.ts';
import type { ProgramResult } from '../../support/program.ts';

/** curl takes a proxy of this machine out of these; a pod has none. */
const noProxy = Object.fromEntries(
  ['http_proxy', 'https_proxy', 'all_proxy', 'ALL_PROXY'].map((name) => [name, '']),
);

/**
 * Runs commands of a shell as in a pod of `namespace`: its network, and the names that it knows. Programs and files are those of
 * this machine; `folder` is where they run.
 */
export const shellInPod = async (
  network: Network,
  {
    namespace,
    folder,
    block,
  }: { readonly namespace: string; readonly folder: string; readonly block: string },
): Promise<ProgramResult> => {
  const names = join(folder, 'resolv.conf');
  const search = `search ${namespace}.svc.cluster.local svc.cluster.local cluster.local`;
  await writeFile(names, `nameserver ${dnsAddress}\n${search}\noptions ndots:5\n`);
  const script = `mount --bind ${names} /etc/resolv.conf\n${block}`;
  return network.run(['unshare', '--mount', '--', 'bash', '-ec', script], { cwd: folder, env: noProxy });
};
