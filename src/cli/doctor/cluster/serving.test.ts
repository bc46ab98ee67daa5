import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { folderOfTests } from '../../../../test/support/temporary-folder.ts';
import { issueAuthority, issueCertificate } from '../../../operator/identity/certificate.ts';
import { askForCertificate } from './serving.ts';

const now = Date.now();
const life = { from: now - 3_600_000, until: now + 86_400_000 };
const authority = await issueAuthority('one', life);
const stranger = await issueAuthority('another', life);
const namespace = 'edge';

let replica: Http2SecureServer;
const folder = folderOfTests();
let port: number;
beforeAll(async () => {
  const subject = { name: 'operator-0' };
  const names = [`adaptlet-operator.${namespace}.svc`];
  const { certificate, key } = await issueCertificate(authority, { subject, names, validity: life });
  replica = createSecureServer({ cert: certificate, key }).listen(0, '127.0.0.1');
  replica.on('stream', (stream) => {
    stream.respond({ ':status': 404 });
    stream.end();
  });
  await once(replica, 'listening');
  ({ port } = replica.address() as AddressInfo);
});
afterAll(() => {
  replica.close();
});
afterEach(() => vi.unstubAllEnvs());

/** Stands for kubectl, of which only what it writes matters. */
const kubectlThat = async (does: string): Promise<void> => {
  const path = join(folder, 'kubectl');
  await writeFile(path, `#!/bin/sh\n${does}\n`);
  await chmod(path, 0o755);
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
};

const ask = (more: { readonly address?: string; readonly ca?: string } = {}) =>
  askForCertificate({
    ca: authority.certificate,
    namespace,
    address: undefined,
    kubeconfig: undefined,
    context: undefined,
    ...more,
  });

describe('the certificate of a replica', () => {
  it('is accepted as a runtime would, at an address, with the time of the other side', async () => {
    const { validUntil, theirTime } = await ask({ address: `127.0.0.1:${port}` });
    expect(Math.abs(validUntil - life.until)).toBeLessThan(1000);
    expect(Math.abs((theirTime ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  it('is not accepted when another authority signed it', async () => {
    await expect(ask({ address: `127.0.0.1:${port}`, ca: stranger.certificate })).rejects.toThrow(
      /certificate/,
    );
  });

  it('is asked for through kubectl where no address is given', async () => {
    await kubectlThat(`echo "Forwarding from 127.0.0.1:${port} -> 9443"; exec cat`);
    expect((await ask()).validUntil).toBeGreaterThan(now);
  });

  it('cannot be had where kubectl reaches no replica, or is not there', async () => {
    await kubectlThat('echo "error: pod is not running" >&2; exit 1');
    await expect(ask()).rejects.toThrow('kubectl port-forward: error: pod is not running');
    vi.stubEnv('PATH', join(folder, 'nowhere'));
    await expect(ask()).rejects.toThrow('kubectl is not in the PATH');
  });
});
