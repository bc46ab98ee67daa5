import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';

/** The certificate of a cluster-admin. */
export type Identity = { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };

export const readIdentity = async (pki: string): Promise<Identity> => {
  const [ca, cert, key] = await Promise.all(
    ['ca.crt', 'admin.crt', 'admin.key'].map((file) => readFile(join(pki, file))),
  );
  if (ca === undefined || cert === undefined || key === undefined) throw new Error(`certificates in ${pki}`);
  return { ca, cert, key };
};

/** True when the API server says that it is ready; false too while nobody listens. */
export const isReady = (server: string, identity: Identity): Promise<boolean> =>
  new Promise((resolve) => {
    const call = request(`${server}/readyz`, { ...identity, agent: false, timeout: 10_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.once('timeout', () => call.destroy());
    call.once('error', () => resolve(false));
    call.end();
  });
