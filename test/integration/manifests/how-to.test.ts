import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, startCluster, toolPath } from '../../cluster/index.ts';
import { runProgram } from '../../support/program.ts';
import { helmEnvironment } from './helm.ts';

const page = readFileSync(join(import.meta.dirname, '../../../docs/how-to/install-on-k3s.md'), 'utf8');

/** The shell blocks of the page, in their order. */
const blocks = [...page.matchAll(/^( *)```sh\n([\s\S]*?)^ *```$/gm)].map(([, , text = '']) => text.trim());

describe('docs/how-to/install-on-k3s.md', () => {
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
    for (const kind of ['adapters', 'adapterrollouts', 'adapterroutes', 'adapterruntimes'])
      await cluster.kubectlOk(['get', '--raw', `/apis/adaptlet.io/v1alpha1/${kind}?resourceVersion=0`]);
  };

  it('has commands that work one after the other on a real API server', async () => {
    expect(blocks).toHaveLength(5);
    const path = [
      dirname(await toolPath('helm')),
      dirname(await toolPath('kubectl')),
      process.env['PATH'],
    ].join(':');
    for (const block of blocks) {
      if (block.includes('delete crd')) await useEveryKind();
      const result = await runProgram('timeout', ['90', 'bash', '-ec', block], {
        env: { ...helmEnvironment(cluster.kubeconfig), PATH: path },
      });
      const left = result.code === 0 ? '' : await whatIsLeft();
      expect(result, `${block}\n${left}`).toMatchObject({ code: 0 });
      expect(result.stderr, block).not.toMatch(/warning|error/i);
    }
    const { stdout } = await cluster.kubectl('get', 'crd,clusterrole', '-o', 'name');
    expect(stdout).not.toContain('adaptlet');
  });
});
