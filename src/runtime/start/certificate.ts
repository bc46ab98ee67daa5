import { join } from 'node:path';
import type { Clock } from '../../time/clock.ts';
import { CertificateFiles, type CertificatePaths } from '../server/tls/certificate-files.ts';
import { ServingCertificate } from '../sync/serving-certificate.ts';
import type { RuntimeParts } from './parts.ts';

/** TLS of the request ports. */
export type RequestTls = {
  readonly files: CertificateFiles;
  /** Absent: the files are somebody else's. */
  readonly given?: ServingCertificate;
};

/**
 * Undefined: the request ports have no TLS. The stack closes it.
 * @throws CONFIG_INVALID for files that cannot be read or used
 */
export const openCertificate = async (
  { settings, logger: log }: RuntimeParts,
  clock: Clock,
  stack: AsyncDisposableStack,
): Promise<RequestTls | undefined> => {
  const { tls, tlsCert: certificate, tlsKey: key, clientCa, dataDir } = settings;
  const open = async (paths: Omit<CertificatePaths, 'clientCa'>, isAwaited: boolean) => {
    const files = await CertificateFiles.open({ paths: { ...paths, clientCa }, isAwaited, clock, log });
    stack.defer(() => files.close());
    return files;
  };
  if (tls === 'operator') {
    const path = join(dataDir, 'state', 'serving.pem');
    const files = await open({ certificate: path, key: path }, true);
    if (files.context === undefined)
      log.warn('the request ports wait for their first certificate of the operator');
    const self = `${settings.runtimeNamespace}/${settings.runtimeName}`;
    const given = new ServingCertificate({ path, self, changed: () => files.look(), clock, log });
    stack.defer(() => given.close());
    return { files, given };
  }
  return certificate === undefined || key === undefined
    ? undefined
    : { files: await open({ certificate, key }, false) };
};
