import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster } from '../../cluster/index.ts';
import { runJobPod } from './job-pod.ts';
import { runBlock, shellBlocks } from './shell-blocks.ts';

const [install = '', look = '', values = '', uninstall = '', ...remove] = shellBlocks('install-on-k3s.md');
const upgrade = shellBlocks('upgrade.md');

describe('docs/how-to/install-on-k3s.md, and upgrade.md in between', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ controllerManager: true });
  });
  afterAll(() => cluster?.close());

  /** What a command that does not end may wait for. */
  const whatIsLeft = async (): Promise<string> => {
    const state =
      '{range .items[*]}{.metadata.name} {.metadata.deletionTimestamp} {.metadata.finalizers} {.status.conditions}{"\\n"}{end}';
    const { stdout } = await cluster.kubectl('get', 'crd,namespace', '-o', `jsonpath=${state}`);
    return stdout;
  };

  /**
   * What an operator that runs does: it lists and watches every kind. The API server opens the storage of a kind with the
   * first request for it. When that is its deletion, Kubernetes 1.34 may take 5 minutes: the finalizer of CRDs finds that
   * "storage is (re)initializing", notes it in the CRD, and forgets the CRD when its next try conflicts with that note.
   */
  const useEveryKind = async (): Promise<void> => {
    for (const kind of ['adapters', 'adapterrollouts', 'adapterroutes', 'adapterruntimes', 'adapteranalyses'])
      await cluster.kubectlOk(['get', '--raw', `/apis/adaptlet.io/v1alpha1/${kind}?resourceVersion=0`]);
  };

  it('have commands that work one after the other on a real API server', async () => {
    expect([upgrade.length, remove.length]).toEqual([2, 1]);
    for (const block of [install, look, values, ...upgrade, uninstall, ...remove]) {
      if (block.includes('delete crd')) await useEveryKind();
      const job = block.includes('uninstall')
        ? runJobPod(cluster, 'adaptlet-system', 'adaptlet-release-adapters')
        : undefined;
      const result = await runBlock(cluster, block);
      const left = result.code === 0 ? '' : await whatIsLeft();
      expect(result, `${block}\n${left}`).toMatchObject({ code: 0 });
      expect(result.stderr, block).not.toMatch(/warning|error/i);
      if (job !== undefined) expect(await job).toMatchObject({ code: 0 });
    }
    const { stdout } = await cluster.kubectl('get', 'crd,clusterrole', '-o', 'name');
    expect(stdout).not.toContain('adaptlet');
  });
});
