import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { parseAddress } from '../../../settings/address.ts';
import { PortForward } from '../../port-forward.ts';
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
    const target = 'deployment/adaptlet-operator';
    using forward = await PortForward.open({ ...options, target, port: 9443, timeoutMs });
    return await shakeHands({ host: '127.0.0.1', port: forward.port, ca, name, timeoutMs });
  } catch (error) {
    if (error instanceof AdaptletError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new AdaptletError('KUBE_UNAVAILABLE', why, { cause: error });
  }
};
