import {
  type ChannelCredentials,
  Client,
  credentials as grpcCredentials,
  type handleUnaryCall,
  Metadata,
  Server,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { day, openAuthority } from './authority.fixture.ts';
import { type Authority, replicaRole } from './authority.ts';
import { issueCertificate } from './certificate.ts';
import { channelCredentials, replicaOf, serverCredentials } from './credentials.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const open = async (api: FakeApi, clock: FakeClock, replica: string): Promise<Authority> => {
  const authority = await openAuthority(replica, { api, clock, logger: silentLog });
  closers.push(() => authority.close());
  return authority;
};

const text = (value: string): Buffer => Buffer.from(value);

/** A server that answers who called it. */
const serve = async (authority: Authority): Promise<number> => {
  const server = new Server();
  const who: handleUnaryCall<Buffer, Buffer> = (call, callback) =>
    callback(null, text(replicaOf(call.getAuthContext().sslPeerCertificate) ?? 'nobody'));
  server.register(
    '/test/Who',
    who,
    (value) => value,
    (value) => value,
    'unary',
  );
  closers.push(() => server.forceShutdown());
  return await new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', serverCredentials(authority), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
};

const dial = (port: number, channel: ChannelCredentials): Client => {
  const client = new Client(`127.0.0.1:${port}`, channel, {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.ssl_target_name_override': 'localhost',
  });
  closers.push(() => client.close());
  return client;
};

const ask = (client: Client): Promise<string> =>
  new Promise((resolve, reject) => {
    const deadline = Date.now() + 5_000;
    const same = (value: Buffer): Buffer => value;
    client.makeUnaryRequest(
      '/test/Who',
      same,
      same,
      text(''),
      new Metadata(),
      { deadline },
      (error, answer) => (error === null ? resolve(String(answer)) : reject(error)),
    );
  });

describe('TLS between replicas and with runtimes', () => {
  it('knows a replica by its certificate, and serves those that have none', async () => {
    const [api, clock] = [new FakeApi(), new FakeClock(Date.now())];
    const [a, b] = [await open(api, clock, 'operator-a'), await open(api, clock, 'operator-b')];
    const port = await serve(a);
    expect(await ask(dial(port, channelCredentials(b)))).toBe('operator-b');
    const runtime = grpcCredentials.createSsl(text(a.credentials().bundle));
    expect(await ask(dial(port, runtime))).toBe('nobody');
  });

  it('takes nobody for a replica whose certificate another authority signed', async () => {
    const [api, clock] = [new FakeApi(), new FakeClock(Date.now())];
    const a = await open(api, clock, 'operator-a');
    const stranger = await open(new FakeApi(), clock, 'operator-a');
    const { key, certificate } = stranger.credentials();
    const port = await serve(a);
    const forged = grpcCredentials.createSsl(text(a.credentials().bundle), text(key), text(certificate));
    expect(await ask(dial(port, forged))).toBe('nobody');
  });

  it('takes nobody for a replica whose certificate does not say so', async () => {
    const [api, clock] = [new FakeApi(), new FakeClock(Date.now())];
    const a = await open(api, clock, 'operator-a');
    const data = api.objects.get('/api/v1/namespaces/adaptlet-system/secrets/adaptlet-ca')?.[
      'data'
    ] as Record<string, string>;
    const authority = {
      certificate: String(Buffer.from(data['current.crt'] ?? '', 'base64')),
      key: String(Buffer.from(data['current.key'] ?? '', 'base64')),
    };
    const device = await issueCertificate(authority, {
      subject: { organization: 'adaptlet:devices', name: 'operator-a' },
      names: ['device'],
      validity: { from: clock.now() - day, until: clock.now() + day },
    });
    const port = await serve(a);
    const channel = grpcCredentials.createSsl(
      text(a.credentials().bundle),
      text(device.key),
      text(device.certificate),
    );
    expect(await ask(dial(port, channel))).toBe('nobody');
  });

  it('shows the new certificate after a rotation without a restart; connections stay', async () => {
    const api = new FakeApi();
    const clock = new FakeClock(Date.now() - 30 * day);
    const a = await open(api, clock, 'operator-a');
    const first = a.credentials();
    const port = await serve(a);
    for (let passed = 0; passed < 30; passed++) {
      clock.advance(day);
      await a.refresh();
      await a.refresh();
    }
    const now = a.credentials();
    expect(now.bundle).not.toBe(first.bundle);
    const client = dial(port, grpcCredentials.createSsl(text(now.bundle)));
    expect(await ask(client)).toBe('nobody');
    await expect(ask(dial(port, grpcCredentials.createSsl(text(first.bundle))))).rejects.toThrow(
      /UNAVAILABLE|certificate/,
    );
    clock.advance(2 * day);
    await a.refresh();
    await waitFor('another certificate', () => a.credentials().certificate !== now.certificate);
    expect(await ask(client)).toBe('nobody');
  });

  it('reads no role from a subject that has the attribute twice', () => {
    const subject = { O: [replicaRole, 'x'], CN: 'a' } as unknown as { O: string; CN: string };
    expect(replicaOf({ subject } as Parameters<typeof replicaOf>[0])).toBeUndefined();
    expect(replicaOf({ subject: { O: replicaRole, CN: 'a' } } as Parameters<typeof replicaOf>[0])).toBe('a');
  });
});
