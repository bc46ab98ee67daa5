import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { issueAuthority, issueCertificate } from '../../src/operator/identity/certificate.ts';
import type { TestFleet } from './fleet.ts';
import type { TestNode } from './node.ts';
import { waitFor } from './wait.ts';

/** The line of a key in PEM that no other key has. */
export const lineOf = (pem: string): string => pem.split('\n')[1] ?? pem;

/** A runtime with TLS on its request ports, and the keys that its file had. The second is not that of the certificate: it says so and goes on. */
export const startSecureRuntime = async (
  fleet: TestFleet,
  index: number,
): Promise<{ readonly node: TestNode; readonly keys: readonly string[] }> => {
  const validity = { from: Date.now() - 60_000, until: Date.now() + 3_600_000 };
  const authority = await issueAuthority('site', validity);
  const about = { subject: { name: 'runtime' }, names: ['127.0.0.1'], validity };
  const [first, second] = [
    await issueCertificate(authority, about),
    await issueCertificate(authority, about),
  ];
  const [certificate, key] = [join(fleet.folder, 'tls.crt'), join(fleet.folder, 'tls.key')];
  await writeFile(certificate, first.certificate);
  await writeFile(key, first.key);
  const node = await fleet.startNode(index, { 'tls-cert': certificate, 'tls-key': key });
  await writeFile(key, second.key);
  await waitFor('a word about the key', () =>
    node.log.some((line) => line.includes('new TLS files cannot be used')),
  );
  return { node, keys: [first.key, second.key] };
};
