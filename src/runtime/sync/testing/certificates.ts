import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

const openssl = (...args: readonly string[]) => execute('openssl', [...args]);

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export type Authority = { readonly name: string; readonly folder: string; readonly pem: string };
export type ServerCertificate = { readonly key: Buffer; readonly certificate: Buffer };

/** A new certificate authority, in files of `folder`. */
export const makeAuthority = async (folder: string, name: string): Promise<Authority> => {
  const path = join(folder, `${name}.crt`);
  await openssl(
    'req',
    '-x509',
    ...newKey,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    join(folder, `${name}.key`),
    '-out',
    path,
    '-addext',
    'basicConstraints=critical,CA:TRUE',
  );
  return { name, folder, pem: await readFile(path, 'utf8') };
};

/** A certificate of that authority for `names`, as openssl writes them: `IP:127.0.0.1,DNS:localhost`. */
export const issue = async (
  { name, folder }: Authority,
  names = 'IP:127.0.0.1,DNS:localhost',
): Promise<ServerCertificate> => {
  const path = (extension: string): string => join(folder, `${name}-leaf.${extension}`);
  await writeFile(path('ext'), `subjectAltName=${names}\n`);
  await openssl(
    'req',
    '-new',
    ...newKey,
    '-keyout',
    path('key'),
    '-out',
    path('csr'),
    '-subj',
    '/CN=operator',
  );
  await openssl(
    'x509',
    '-req',
    '-in',
    path('csr'),
    '-days',
    '2',
    '-out',
    path('crt'),
    '-extfile',
    path('ext'),
    '-CA',
    join(folder, `${name}.crt`),
    '-CAkey',
    join(folder, `${name}.key`),
    '-CAcreateserial',
  );
  return { key: await readFile(path('key')), certificate: await readFile(path('crt')) };
};
