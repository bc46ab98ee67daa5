import { isIP } from 'node:net';
import { plainAddress } from './address.ts';

/** What pods are told of the API server. */
export type PodEnvironment = Readonly<Record<string, string | undefined>>;

/** `192.0.2.7:443` and `[fd00::7]:443`. */
export const withPort = (address: string, port: string): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

/** The address of the API server that this pod is told, as `192.0.2.7:443`; none outside of a cluster. */
export const apiServerOfPod = ({
  KUBERNETES_SERVICE_HOST: host = '',
  KUBERNETES_SERVICE_PORT: port = '443',
}: PodEnvironment): readonly string[] => (isIP(host) === 0 ? [] : [withPort(plainAddress(host), port)]);
