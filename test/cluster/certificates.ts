import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Node signs no certificates: openssl does. Its arguments come in groups. */
const openssl = async (...args: readonly (readonly string[])[]): Promise<void> => {
  try {
    await execute('openssl', args.flat());
  } catch (error) {
    throw new Error('openssl could not make the certificates of the test cluster (is it installed?)', {
      cause: error,
    });
  }
};

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

const authority = (folder: string, name: string): Promise<void> =>
  openssl(
    ['req', '-x509', ...newKey, '-days', '30', '-subj', `/CN=${name}`],
    ['-keyout', join(folder, `${name}.key`), '-out', join(folder, `${name}.crt`)],
    ['-addext', 'basicConstraints=critical,CA:TRUE'],
    ['-addext', 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature'],
  );

/** A certificate: files `<name>.crt` and `<name>.key`. */
export type Leaf = {
  readonly name: string;
  readonly subject: string;
  /** Name of the authority that signs it; default `ca`. */
  readonly ca?: string;
  /** Names of a server, as openssl takes them. */
  readonly san?: string;
};

const leaf = async (folder: string, { name, subject, ca = 'ca', san }: Leaf): Promise<void> => {
  const path = (extension: string): string => join(folder, `${name}.${extension}`);
  const extensions = [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature',
    'extendedKeyUsage=serverAuth,clientAuth',
    ...(san === undefined ? [] : [`subjectAltName=${san}`]),
  ];
  await writeFile(path('ext'), `${extensions.join('\n')}\n`);
  await openssl(['req', '-new', ...newKey, '-keyout', path('key'), '-out', path('csr'), '-subj', subject]);
  await openssl(
    ['x509', '-req', '-in', path('csr'), '-days', '30', '-out', path('crt'), '-extfile', path('ext')],
    ['-CA', join(folder, `${ca}.crt`), '-CAkey', join(folder, `${ca}.key`)],
    ['-set_serial', `0x${crypto.randomUUID().replaceAll('-', '').slice(1)}`],
  );
};

/** Where the API server of a lab is for its nodes. */
export const labApiServer = '10.250.0.1';

const serviceNames = [
  'DNS:kubernetes',
  'DNS:kubernetes.default',
  'DNS:kubernetes.default.svc',
  'DNS:kubernetes.default.svc.cluster.local',
  'DNS:localhost',
  'IP:127.0.0.1',
  'IP:10.96.0.1',
  `IP:${labApiServer}`,
].join(',');

const leaves: readonly Leaf[] = [
  { name: 'apiserver', subject: '/CN=kube-apiserver', san: serviceNames },
  { name: 'kubelet-client', subject: '/O=system:masters/CN=kube-apiserver-kubelet-client' },
  { name: 'front-proxy-client', subject: '/CN=front-proxy-client', ca: 'front-proxy-ca' },
  { name: 'admin', subject: '/O=system:masters/CN=kubernetes-admin' },
  { name: 'controller-manager', subject: '/CN=system:kube-controller-manager' },
  { name: 'scheduler', subject: '/CN=system:kube-scheduler' },
];

/** Certificate authorities, certificates and the key that signs tokens, and `more`, in `folder`. */
export const makeCertificates = async (folder: string, more: readonly Leaf[] = []): Promise<void> => {
  await mkdir(folder, { recursive: true });
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await Promise.all([
    authority(folder, 'ca'),
    authority(folder, 'front-proxy-ca'),
    writeFile(join(folder, 'sa.key'), privateKey.export({ type: 'sec1', format: 'pem' })),
    writeFile(join(folder, 'sa.pub'), publicKey.export({ type: 'spki', format: 'pem' })),
  ]);
  await Promise.all([...leaves, ...more].map((each) => leaf(folder, each)));
};

export type User =
  | { readonly 'client-certificate-data': string; readonly 'client-key-data': string }
  | {
      readonly token: string;
    };

/** A kubeconfig with everything embedded. JSON is YAML. */
export const kubeconfig = (server: string, ca: Buffer, user: User): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': ca.toString('base64') } }],
    users: [{ name: 'user', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'user' } }],
    'current-context': 'test',
  });

/** Writes `<name>.kubeconfig` beside a certificate of {@link makeCertificates}, for its user; gives its path. */
export const writeKubeconfig = async (folder: string, name: string, server: string): Promise<string> => {
  const read = (file: string): Promise<Buffer> => readFile(join(folder, file));
  const [ca, certificate, key] = await Promise.all([
    read('ca.crt'),
    read(`${name}.crt`),
    read(`${name}.key`),
  ]);
  const text = kubeconfig(server, ca, {
    'client-certificate-data': certificate.toString('base64'),
    'client-key-data': key.toString('base64'),
  });
  const path = join(folder, `${name}.kubeconfig`);
  await writeFile(path, text, { mode: 0o600 });
  return path;
};
