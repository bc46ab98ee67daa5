import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { AdaptletError } from '../errors/adaptlet-error.ts';

export type PortForwardOptions = {
  readonly namespace: string;
  /** As kubectl names it: pod/NAME or deployment/NAME. */
  readonly target: string;
  /** Port inside the pod. */
  readonly port: number;
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  /** Milliseconds that kubectl may take. */
  readonly timeoutMs: number;
};

/** A local port that leads to one of a pod, for as long as kubectl lives. */
export class PortForward implements Disposable {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  get isOpen(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** @throws KUBE_UNAVAILABLE with what kubectl says */
  static async open({
    namespace,
    target,
    port,
    timeoutMs,
    ...cluster
  }: PortForwardOptions): Promise<PortForward> {
    const { kubeconfig, context } = cluster;
    const flags = [
      ...(kubeconfig === undefined ? [] : ['--kubeconfig', kubeconfig]),
      ...(context === undefined ? [] : ['--context', context]),
    ];
    const ports = ['--address', '127.0.0.1', target, `:${port}`, '--pod-running-timeout=2s'];
    const args = [...flags, '-n', namespace, 'port-forward', ...ports];
    const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    // Registered now: it may end before anybody waits.
    const closed = new Promise((resolve) => child.once('close', resolve));
    const late = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-2_000);
    });
    try {
      await once(child, 'spawn').catch((error: unknown) => {
        throw new AdaptletError(
          'KUBE_UNAVAILABLE',
          'kubectl is not in the PATH, which would lead to a replica',
          {
            cause: error,
          },
        );
      });
      for await (const line of createInterface({ input: child.stdout })) {
        const [, local] = /^Forwarding from 127\.0\.0\.1:(\d+)/.exec(line) ?? [];
        if (local === undefined) continue;
        // What it says later is not read by anybody, and must not fill the pipe.
        child.stdout.resume();
        return new PortForward(child, Number(local));
      }
      // Only then has it said everything.
      await closed;
      throw new AdaptletError(
        'KUBE_UNAVAILABLE',
        `kubectl port-forward: ${said.trim().replaceAll(/\s+/g, ' ') || `no answer within ${timeoutMs} ms`}`,
        { advice: 'You need the right to forward ports to pods of the operator.' },
      );
    } finally {
      clearTimeout(late);
    }
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}
