import { type ProgramResult, runProgram } from '../support/program.ts';
import { toolPath } from './build.ts';

export type KubectlOptions = {
  readonly kubeconfig: string;
  /** Where kubectl keeps what it discovered: of one server, as ports are used again. */
  readonly cache: string;
  readonly stdin?: string;
};

/** Runs the real kubectl to its end. */
export const runKubectl = async (
  args: readonly string[],
  { kubeconfig, cache, stdin = '' }: KubectlOptions,
): Promise<ProgramResult> =>
  runProgram(await toolPath('kubectl'), args, {
    env: { KUBECONFIG: kubeconfig, KUBECACHEDIR: cache },
    stdin,
  });
