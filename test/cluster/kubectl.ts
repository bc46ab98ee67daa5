import { spawn } from 'node:child_process';
import { toolPath } from './build.ts';

export type KubectlResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

export type KubectlOptions = {
  readonly kubeconfig: string;
  /** Where kubectl keeps what it discovered: of one server, as ports are used again. */
  readonly cache: string;
  readonly stdin?: string;
};

/** Runs the real kubectl to its end. */
export const runKubectl = async (
  args: readonly string[],
  { kubeconfig, cache, stdin }: KubectlOptions,
): Promise<KubectlResult> => {
  const binary = await toolPath('kubectl');
  return new Promise((resolve, reject) => {
    const env = { ...process.env, KUBECONFIG: kubeconfig, KUBECACHEDIR: cache };
    const child = spawn(binary, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
    // kubectl may end before it has read everything: what it says then is in its result.
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin ?? '');
  });
};
