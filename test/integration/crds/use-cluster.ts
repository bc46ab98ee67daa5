import { afterAll, beforeAll } from 'vitest';
import { type Cluster, startCluster } from '../../cluster/index.ts';

/** A control plane with our CRDs for the tests of one file, and a namespace of it. */
export const useCluster = (): (() => { readonly cluster: Cluster; readonly namespace: string }) => {
  let ready: { cluster: Cluster; namespace: string } | undefined;
  beforeAll(async () => {
    const cluster = await startCluster();
    try {
      await cluster.installCrds();
      ready = { cluster, namespace: await cluster.createNamespace() };
    } catch (error) {
      await cluster.close();
      throw error;
    }
  });
  afterAll(() => ready?.cluster.close());
  return () => {
    if (ready === undefined) throw new Error('the cluster of this file did not start');
    return ready;
  };
};
