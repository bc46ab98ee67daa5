import type { Cluster } from './cluster.ts';
import { ExistingCluster, notControlled } from './existing.ts';
import { type ClusterOptions, LocalCluster } from './local.ts';

export { toolPath } from './build.ts';
export type { Cluster } from './cluster.ts';
export type { ClusterOptions } from './local.ts';
export type { Kind } from './reader.ts';

/**
 * A real Kubernetes for a test: a control plane of its own, ready in 4 to 5 s, or the cluster that
 * `ADAPTLET_TEST_KUBECONFIG` names. Close it when done; it does not outlive this process.
 */
export const startCluster = (options: ClusterOptions = {}): Promise<Cluster> => {
  const existing = process.env['ADAPTLET_TEST_KUBECONFIG'];
  if (existing === undefined || existing === '') return LocalCluster.start(options);
  if (options.apiServerFlags !== undefined) return Promise.reject(notControlled('give the API server flags'));
  return ExistingCluster.connect(existing);
};

let shared: Promise<Cluster> | undefined;

/**
 * One cluster with a controller manager and our CRDs for all tests of this process that need only a namespace. It ends
 * with the process, which goes from file to file.
 */
export const sharedCluster = (): Promise<Cluster> => {
  shared ??= startCluster({ controllerManager: true }).then(async (cluster) => {
    await cluster.installCrds();
    return cluster;
  });
  return shared;
};
