import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { InferenceClient } from '../../../gen/adaptlet/inference/v1/inference.ts';
import { GRPCInferenceServiceClient } from '../../../gen/inference/grpc_service.ts';
import { issueAuthority, issueCertificate, type KeyPair } from '../../../operator/identity/certificate.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { startGrpc } from '../grpc/server.ts';
import { startHttp } from '../http/server.ts';
import { CertificateFiles } from '../tls/certificate-files.ts';
import { fakeParts } from './parts.ts';

const validity = { from: Date.now() - 3_600_000, until: Date.now() + 86_400_000 };

export const newAuthority = (name: string): Promise<KeyPair> => issueAuthority(name, validity);
export const certificateFor = (authority: KeyPair, name: string): Promise<KeyPair> =>
  issueCertificate(authority, { subject: { name }, names: ['localhost', '127.0.0.1'], validity });

export type Asked = {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly client?: KeyPair | undefined;
};
export type Told = {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: unknown;
};

/** Certificate and key are one file, which may be there from the beginning. */
type Late = { readonly isAwaited?: true; readonly first?: string; readonly clientCa?: string };

/** Both request ports over fakes, with TLS whose files a test may change. */
export const startSecure = async (
  overrides: Parameters<typeof fakeParts>[0] = {},
  { isAwaited, first, clientCa }: Late = {},
) => {
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-tls-'));
  const paths = {
    certificate: join(folder, 'tls.crt'),
    key: join(folder, isAwaited ? 'tls.crt' : 'tls.key'),
    clientCa: join(folder, 'clients.crt'),
  };
  const authority = await newAuthority('servers');
  const clients = await newAuthority('clients');
  const write = async ({ certificate, key }: KeyPair): Promise<void> => {
    await writeFile(paths.certificate, certificate);
    await writeFile(paths.key, key);
  };
  if (!isAwaited) await write(await certificateFor(authority, 'runtime'));
  else if (first !== undefined) await writeFile(paths.certificate, first);
  await writeFile(paths.clientCa, clientCa ?? clients.certificate);
  const clock = new FakeClock();
  const parts = fakeParts(overrides);
  const tls = await CertificateFiles.open({ paths, isAwaited: isAwaited === true, clock, log: parts.log });
  const grpc = await startGrpc({ ...parts, address: '127.0.0.1:0', tls });
  const http = await startHttp({ ...parts, address: '127.0.0.1:0', tls });
  const open: { close(): void }[] = [];

  /** Clients that trust an authority, and may have a certificate. */
  const dial = (client?: KeyPair, trusted: KeyPair = authority) => {
    const key = client === undefined ? [] : [Buffer.from(client.key), Buffer.from(client.certificate)];
    const channel = credentials.createSsl(Buffer.from(trusted.certificate), ...key);
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    const oip = new GRPCInferenceServiceClient(`127.0.0.1:${grpc.port}`, channel, options);
    const inference = new InferenceClient(`127.0.0.1:${grpc.port}`, channel, options);
    open.push(oip, inference);
    return { oip, inference };
  };

  const ask = ({ path, headers = {}, body, client }: Asked, trusted: KeyPair = authority): Promise<Told> =>
    new Promise((resolve, reject) => {
      const sent = request(
        `https://127.0.0.1:${http.port}${path}`,
        {
          method: body === undefined ? 'GET' : 'POST',
          headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
          ca: trusted.certificate,
          agent: false,
          ...(client === undefined ? {} : { cert: client.certificate, key: client.key }),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => {
            const text = String(Buffer.concat(chunks));
            const isJson = /json/.test(response.headers['content-type'] ?? '');
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: isJson ? (JSON.parse(text) as unknown) : text,
            });
          });
          response.on('error', reject);
        },
      );
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });

  return {
    parts,
    paths,
    files: tls,
    authority,
    clients,
    clock,
    grpc,
    http,
    write,
    dial,
    ask,
    async [Symbol.asyncDispose]() {
      for (const client of open) client.close();
      tls.close();
      await Promise.all([grpc.close(100), http.close(100)]);
      await rm(folder, { recursive: true });
    },
  };
};
