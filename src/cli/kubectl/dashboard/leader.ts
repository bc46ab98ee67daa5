import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../../kube/client/api.ts';
import { leaseName } from '../../../operator/lease.ts';
import type { ClusterOptions } from '../cluster.ts';

/** Port of the dashboard inside the pod, as the chart has it. */
const podPort = 8082;
/** Milliseconds that kubectl may take to forward a port. */
const timeoutMs = 10_000;

/**
 * Name of the pod that leads.
 * @throws KUBE_* ; NOT_LEADER where none does
 */
export const leadingPod = async (api: KubeApi, namespace: string): Promise<string> => {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${leaseName}`;
  const { spec } = await api.request<{ readonly spec?: { readonly holderIdentity?: string } }>({
    method: 'GET',
    path,
  });
  // The name of the pod, and of a life of it.
  const pod = (spec?.holderIdentity ?? '').replace(/_[^_]*$/, '');
  if (/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(pod)) return pod;
  throw new AdaptletError('NOT_LEADER', `no replica of the operator leads in the namespace ${namespace}`, {
    advice: 'Look at it by `kubectl adaptlet doctor`.',
  });
};

/** A local port that leads to the dashboard of a pod, for as long as kubectl lives. */
export class Forward {
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
  static async to(
    pod: string,
    namespace: string,
    { kubeconfig, context }: Pick<ClusterOptions, 'kubeconfig' | 'context'>,
  ): Promise<Forward> {
    const flags = [
      ...(kubeconfig === undefined ? [] : ['--kubeconfig', kubeconfig]),
      ...(context === undefined ? [] : ['--context', context]),
    ];
    const args = [
      ...flags,
      '-n',
      namespace,
      'port-forward',
      '--address',
      '127.0.0.1',
      `pod/${pod}`,
      `:${podPort}`,
    ];
    const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
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
          'kubectl is not in the PATH, which would lead to the operator',
          {
            cause: error,
          },
        );
      });
      const lines = createInterface({ input: child.stdout });
      for await (const line of lines) {
        const [, port] = /^Forwarding from 127\.0\.0\.1:(\d+)/.exec(line) ?? [];
        if (port === undefined) continue;
        // What it says later is not read by anybody, and must not fill the pipe.
        child.stdout.resume();
        return new Forward(child, Number(port));
      }
      await closed;
      throw new AdaptletError(
        'KUBE_UNAVAILABLE',
        `kubectl port-forward: ${said.trim().replaceAll(/\s+/g, ' ') || `no answer within ${timeoutMs} ms`}`,
        { advice: 'You need the right to forward ports to pods of the operator: docs/how-to/dashboard.md.' },
      );
    } finally {
      clearTimeout(late);
    }
  }

  close(): void {
    this.#child.kill();
  }
}
