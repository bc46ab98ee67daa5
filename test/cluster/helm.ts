import { join } from 'node:path';
import { type ProgramResult, runProgram } from '../support/program.ts';
import { toolPath } from './build.ts';

/** Runs the real helm to its end; what it keeps of repositories and charts lies in `home`. */
export const runHelm = async (
  args: readonly string[],
  { kubeconfig, home }: { readonly kubeconfig: string; readonly home: string },
): Promise<ProgramResult> =>
  runProgram(await toolPath('helm'), args, {
    env: {
      KUBECONFIG: kubeconfig,
      HELM_CACHE_HOME: join(home, 'cache'),
      HELM_CONFIG_HOME: join(home, 'config'),
      HELM_DATA_HOME: join(home, 'data'),
    },
  });
