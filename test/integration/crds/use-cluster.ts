import { beforeAll } from 'vitest';
import { type Cluster, sharedCluster } from '../../cluster/index.ts';

/** A control plane with our CRDs, and a namespace of it for the tests of one file. */
export const useCluster = (): (() => { readonly cluster: Cluster; readonly namespace: string }) => {
  let ready: { cluster: Cluster; namespace: string } | undefined;
  beforeAll(async () => {
    const cluster = await sharedCluster();
    ready = { cluster, namespace: await cluster.createNamespace() };
  });
  return () => {
    if (ready === undefined) throw new Error('the cluster of this file did not start');
    return ready;
  };
};
