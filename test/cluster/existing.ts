import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster } from './cluster.ts';
import { runKubectl } from './kubectl.ts';

type View = {
  clusters?: { cluster: { server: string; 'certificate-authority-data'?: string } }[];
};

/** What a test that needs more than a connection is told. It is an error and no reason to skip. */
export const notControlled = (what: string): Error =>
  new Error(
    `this test must ${what}, and tests do not control the processes of the cluster that ADAPTLET_TEST_KUBECONFIG ` +
      'names: unset it and the tests start a control plane of their own',
  );

/** A cluster that was there before the tests: nothing of it is started or stopped; namespaces of tests go at the end. */
export class ExistingCluster extends Cluster {
  readonly #namespaces: string[] = [];

  static async connect(kubeconfig: string): Promise<ExistingCluster> {
    const folder = await mkdtemp(join(tmpdir(), 'adaptlet-cluster-'));
    const options = { kubeconfig, cache: join(folder, 'kubectl-cache') };
    const view = await runKubectl(
      ['config', 'view', '--minify', '--flatten', '--raw', '-o', 'json'],
      options,
    );
    if (view.code !== 0) throw new Error(`ADAPTLET_TEST_KUBECONFIG=${kubeconfig}: ${view.stderr}`);
    const found = (JSON.parse(view.stdout) as View).clusters?.[0]?.cluster;
    const ca = found?.['certificate-authority-data'];
    if (found === undefined || ca === undefined) {
      throw new Error(`ADAPTLET_TEST_KUBECONFIG=${kubeconfig} names no cluster with a certificate authority`);
    }
    const caFile = join(folder, 'ca.crt');
    await writeFile(caFile, Buffer.from(ca, 'base64'));
    return new ExistingCluster({ kubeconfig, server: found.server, caFile, folder });
  }

  stopApiServer(): Promise<void> {
    return Promise.reject(notControlled('stop the API server'));
  }
  startApiServer(): Promise<void> {
    return Promise.reject(notControlled('start the API server'));
  }
  pauseApiServer(): void {
    throw notControlled('pause the API server');
  }
  resumeApiServer(): void {
    throw notControlled('resume the API server');
  }
  compactEtcd(): Promise<void> {
    return Promise.reject(notControlled('compact etcd'));
  }
  restartEtcd(): Promise<void> {
    return Promise.reject(notControlled('restart etcd'));
  }
  backUpEtcd(): Promise<void> {
    return Promise.reject(notControlled('back up etcd'));
  }
  restoreEtcd(): Promise<void> {
    return Promise.reject(notControlled('restore etcd'));
  }
  override async createNamespace(prefix?: string): Promise<string> {
    const name = await super.createNamespace(prefix);
    this.#namespaces.push(name);
    return name;
  }

  async close(): Promise<void> {
    for (const name of this.#namespaces) await this.kubectl('delete', 'namespace', name, '--wait=false');
    await rm(this.folder, { recursive: true, force: true });
  }
}
