import { join } from 'node:path';
import { makeCertificates, writeKubeconfig } from './certificates.ts';
import { apiServerFlags, controllerManagerFlags, etcdFlags, type Layout, schedulerFlags } from './flags.ts';
import { makeFolder, removeFolder } from './folder.ts';
import { freePort } from './ports.ts';
import { ProcessCluster } from './processes.ts';
import { readIdentity } from './ready.ts';

export type ClusterOptions = {
  /** Garbage collection, namespace deletion, ServiceAccounts, Deployments and the like. */
  readonly controllerManager?: boolean;
  readonly scheduler?: boolean;
  /** Added to those of the API server, such as `--watch-cache=false`. */
  readonly apiServerFlags?: readonly string[];
};

/** etcd and a Kubernetes control plane on loopback, without nodes. */
export class LocalCluster extends ProcessCluster {
  /** Throws with the end of a process's output when that process does not come up. */
  static async start(options: ClusterOptions = {}): Promise<LocalCluster> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await LocalCluster.#startOnce(options);
      } catch (error) {
        // Another test took a port between the look and the start.
        if (attempt === 3 || !String(error).includes('address already in use')) throw error;
      }
    }
  }

  static async #startOnce(options: ClusterOptions): Promise<LocalCluster> {
    const folder = await makeFolder();
    const pki = join(folder, 'pki');
    const [etcdPort, etcdPeerPort, apiPort] = [await freePort(), await freePort(), await freePort()];
    const layout: Layout = { folder, pki, etcdPort, etcdPeerPort, apiPort };
    const server = `https://127.0.0.1:${apiPort}`;
    await makeCertificates(pki);
    for (const name of ['admin', 'controller-manager', 'scheduler']) await writeKubeconfig(pki, name, server);
    const cluster = new LocalCluster({
      access: { kubeconfig: join(pki, 'admin.kubeconfig'), server, caFile: join(pki, 'ca.crt'), folder },
      identity: await readIdentity(pki),
      etcdServer: `http://127.0.0.1:${etcdPort}`,
      flags: {
        etcd: etcdFlags(layout),
        apiServer: [...apiServerFlags(layout), ...(options.apiServerFlags ?? [])],
        // No kubelet runs: without this the Nodes that tests make would be called dead and their pods evicted.
        controllerManager: [...controllerManagerFlags(layout), '--controllers=*,-node-lifecycle-controller'],
        scheduler: schedulerFlags(layout),
      },
      commandOf: (program, flags) => [program, flags],
    });
    try {
      await cluster.startEtcd();
      await cluster.startApiServer();
      if (options.controllerManager === true) await cluster.startControllerManager();
      if (options.scheduler === true) await cluster.startScheduler();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  async close(): Promise<void> {
    await this.endProcesses();
    await removeFolder(this.folder);
  }
}
