import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { parseAddress } from '../../../settings/address.ts';
import { type Handshake, shakeHands } from '../handshake.ts';

/** Milliseconds for a connection to a replica, and for kubectl to make one. */
const timeoutMs = 5000;

export type ServingOptions = {
  /** What runtimes trust, PEM. */
  readonly ca: string;
  /** Of the operator. */
  readonly namespace: string;
  /** host:port of a replica; undefined: through the API server, by kubectl. */
  readonly address: string | undefined;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
};

/**
 * Asks a replica for its certificate, as a runtime would.
 * @throws AdaptletError KUBE_UNAVAILABLE
 */
export const askForCertificate = async (options: ServingOptions): Promise<Handshake> => {
  const { ca, namespace, address } = options;
  const name = `adaptlet-operator.${namespace}.svc`;
  try {
    if (address !== undefined) return await shakeHands({ ...parseAddress(address), ca, name, timeoutMs });
    return await throughKubectl(options, (port) =>
      shakeHands({ host: '127.0.0.1', port, ca, name, timeoutMs }),
    );
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AdaptletError('KUBE_UNAVAILABLE', why, { cause: error });
  }
};

/** Runs `work` while kubectl forwards a local port to a replica. */
const throughKubectl = async <T>(
  { namespace, kubeconfig, context }: ServingOptions,
  work: (port: number) => Promise<T>,
): Promise<T> => {
  const flags = [
    ...(kubeconfig === undefined ? [] : ['--kubeconfig', kubeconfig]),
    ...(context === undefined ? [] : ['--context', context]),
  ];
  const args = [
    ...flags,
    '-n',
    namespace,
    'port-forward',
    'deployment/adaptlet-operator',
    ':9443',
    '--pod-running-timeout=2s',
  ];
  const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  // Registered now: it may end before anybody waits.
  const closed = new Promise((resolve) => child.once('close', resolve));
  const late = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  try {
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await once(child, 'spawn').catch((error: unknown) => {
      throw new Error('kubectl is not in the PATH, which would lead to a replica', { cause: error });
    });
    for await (const line of createInterface({ input: child.stdout })) {
      const [, port] = /^Forwarding from 127\.0\.0\.1:(\d+)/.exec(line) ?? [];
      if (port !== undefined) return await work(Number(port));
    }
    // Only then has it said everything.
    await closed;
    throw new Error(
      `kubectl port-forward: ${said.trim().replaceAll(/\s+/g, ' ') || `no answer within ${timeoutMs} ms`}`,
    );
  } finally {
    clearTimeout(late);
    child.kill();
  }
};
