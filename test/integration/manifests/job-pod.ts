import { join } from 'node:path';
import type { Cluster } from '../../cluster/index.ts';
import { repositoryRoot } from '../../support/process.ts';
import { type ProgramResult, runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';

type Pod = {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly serviceAccountName: string;
    readonly containers: readonly {
      readonly args: readonly string[];
      readonly env: readonly { readonly name: string; readonly value?: string }[];
    }[];
  };
};

/**
 * What a kubelet does with the pod of a Job, which has one container of our image: it runs `adaptlet` with the arguments,
 * the environment and the ServiceAccount of the pod, and tells the API server how it ended.
 */
export const runJobPod = async (cluster: Cluster, namespace: string, job: string): Promise<ProgramResult> => {
  const pod = await waitFor(`the pod of the Job ${job}`, async () => {
    const selector = `batch.kubernetes.io/job-name=${job}`;
    const list = await cluster.kubectlOk(['-n', namespace, 'get', 'pods', '-l', selector, '-o', 'json']);
    return (JSON.parse(list) as { readonly items: readonly Pod[] }).items[0];
  });
  const [container] = pod.spec.containers;
  if (container === undefined) throw new Error(`the pod of ${job} has no container`);
  const result = await runProgram(join(repositoryRoot, 'bin/adaptlet'), container.args, {
    env: {
      ...Object.fromEntries(container.env.map(({ name, value = namespace }) => [name, value])),
      KUBECONFIG: await cluster.serviceAccountKubeconfig({
        namespace,
        name: pod.spec.serviceAccountName,
      }),
    },
  });
  const status = { phase: result.code === 0 ? 'Succeeded' : 'Failed' };
  const patch = ['--subresource=status', '--type=merge', '-p', JSON.stringify({ status })];
  await cluster.kubectlOk(['-n', namespace, 'patch', 'pod', pod.metadata.name, ...patch]);
  return result;
};
