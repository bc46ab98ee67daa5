import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { removeAll } from '../../disk/durable.ts';
import { errnoOf } from '../../errors/errno.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { Settings } from '../config/settings.ts';
import { CertificateFiles, type CertificatePaths } from '../server/tls/certificate-files.ts';
import { ServingCertificate } from '../sync/serving-certificate.ts';
import type { RuntimeParts } from './parts.ts';

const fileName = 'serving.pem';
const stateFolder = (dataDir: string): string => join(dataDir, 'state');

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
    const path = join(stateFolder(dataDir), fileName);
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

/**
 * Removes keys of certificates of the operator that nobody needs: of a write that was cut short, and all where the ports show none of
 * them. Only whoever has the data folder may. Never throws.
 */
export const clearKeys = async (
  { tls, dataDir }: Pick<Settings, 'tls' | 'dataDir'>,
  log: Pick<Log, 'warn'>,
): Promise<void> => {
  const folder = stateFolder(dataDir);
  try {
    const names = (await readdir(folder)).filter((name) => /^serving\.pem(?:\.[^.]+\.tmp)?$/.test(name));
    for (const name of names)
      if (name !== fileName || tls !== 'operator') await removeAll(join(folder, name));
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT')
      log.warn({ err: error, folder }, 'keys of request ports that nobody needs could not be removed');
  }
};
