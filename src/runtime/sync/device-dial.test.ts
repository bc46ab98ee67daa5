import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import { type ControlServer, ControlService } from '../../gen/adaptlet/control/v1/control.ts';
import {
  type EnrolmentServer,
  EnrolmentService,
  type EnrolRequest,
  type Issued,
} from '../../gen/adaptlet/enrolment/v1/enrolment.ts';
import {
  certifyClient,
  issueAuthority,
  issueCertificate,
  type KeyPair,
} from '../../operator/identity/certificate.ts';
import { BoundedClock } from '../../time/bounded-clock.ts';
import { systemClock } from '../../time/clock.ts';
import type { DeviceMemory } from '../state/memory.ts';
import type { Device } from './device.ts';
import { deviceDialer, enrolmentCalls } from './device-dial.ts';

const day = 86_400_000;
/** What a clock of 1970 is for real certificates, this clock is for those of next year. */
const nextYear = Date.now() + 365 * day;
const request = {
  name: 'camera',
  secret: 's'.repeat(43),
  publicKey: Buffer.alloc(0),
  signature: Buffer.alloc(0),
};
const renewal = { certificate: Buffer.alloc(0), signature: Buffer.alloc(0) };

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.forceShutdown();
});

/** A port for devices; `asksBack`: only for those who show a certificate of the same authority, as the clock of this machine sees it. */
const serve = async (authority: KeyPair, from: number, asksBack = false) => {
  const { certificate, key } = await issueCertificate(authority, {
    subject: { organization: 'adaptlet:replicas', name: 'operator-0' },
    names: ['127.0.0.1'],
    validity: { from, until: from + 3 * day },
  });
  const secrets: string[] = [];
  const peers: (string | undefined)[] = [];
  const answer = (
    call: ServerUnaryCall<EnrolRequest, { issued: Issued | undefined }>,
    done: sendUnaryData<{ issued: Issued | undefined }>,
  ): void => {
    secrets.push(call.request.secret);
    done(null, { issued: { certificate: 'a certificate', lifetimeMs: 1n } });
  };
  const enrolment: EnrolmentServer = {
    enrol: answer,
    renew: (_, done) => done(null, { issued: { certificate: 'the next one', lifetimeMs: 1n } }),
  };
  const control: ControlServer = {
    sync: (call) => {
      const shown = call.getAuthContext().sslPeerCertificate?.raw;
      peers.push(shown && new X509Certificate(shown).subjectAltName);
    },
    relay: (call) => call.end(),
  };
  const server = new Server();
  servers.push(server);
  server.addService(EnrolmentService, enrolment);
  server.addService(ControlService, control);
  const pairs = [{ private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) }];
  const secure = ServerCredentials.createSsl(Buffer.from(authority.certificate), pairs, asksBack);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', secure, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { address: `127.0.0.1:${port}`, secrets, peers };
};

const authorityFrom = (from: number, name = 'devices'): Promise<KeyPair> =>
  issueAuthority(name, { from, until: from + 900 * day });
const derOf = ({ certificate }: KeyPair): string => new X509Certificate(certificate).raw.toString('base64');

/** A device that is enrolled. */
const enrolled = (authority: KeyPair, address: string) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = certifyClient(authority, {
    subject: { name: 'camera' },
    uri: 'urn:adaptlet:device:adaptlet-system:camera:0a',
    validity: { from: 0, until: nextYear + 30 * day },
    publicKey,
  });
  const state: DeviceMemory = {
    token: '',
    address,
    authority: derOf(authority),
    namespace: 'adaptlet-system',
    name: 'camera',
    key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    certificate,
    receivedAt: 0,
    lifetimeMs: day,
  };
  return { ready: () => Promise.resolve(state), refused: () => undefined } as unknown as Device;
};

describe('a device whose clock says 1970', () => {
  it('enrols and renews, and learns what time it is at least', async () => {
    const authority = await authorityFrom(nextYear - 30 * day);
    const { address, secrets } = await serve(authority, nextYear);
    const time = new BoundedClock(systemClock);
    const calls = enrolmentCalls(address, derOf(authority), time);
    expect((await calls.enrol(request)).certificate).toBe('a certificate');
    expect((await calls.renew(renewal)).certificate).toBe('the next one');
    expect(secrets).toEqual([request.secret]);
    expect([time.isBehind, Math.abs(time.now() - nextYear) < day / 24]).toEqual([true, true]);
  });

  it('gives its token to nobody whom its authority has not signed', async () => {
    const { address, secrets } = await serve(await authorityFrom(nextYear - 30 * day), nextYear);
    const mine = await authorityFrom(nextYear - 30 * day);
    const calls = enrolmentCalls(address, derOf(mine), new BoundedClock(systemClock));
    await expect(calls.enrol(request)).rejects.toThrow(/unable to verify the first certificate/);
    expect(secrets).toEqual([]);
  });

  it('connects', async () => {
    const authority = await authorityFrom(nextYear - 30 * day);
    const { address, peers } = await serve(authority, nextYear);
    const time = new BoundedClock(systemClock);
    const stream = await deviceDialer(enrolled(authority, address), { time })({
      message: () => undefined,
      closed: () => undefined,
    });
    await waitFor('the stream', () => peers.length > 0);
    stream.cancel();
  });
});

describe('a device whose clock is some days late', () => {
  it('asks again at once without it, where the certificate of the operator begins later', async () => {
    const authority = await authorityFrom(Date.now() - 30 * day);
    const { address, secrets } = await serve(authority, Date.now() + 9 * day);
    const time = new BoundedClock(systemClock);
    expect((await enrolmentCalls(address, derOf(authority), time).enrol(request)).certificate).toBe(
      'a certificate',
    );
    expect([secrets.length, time.isBehind]).toEqual([1, true]);
  });

  it('connects at the second try, with its own certificate', async () => {
    const authority = await authorityFrom(Date.now() - 30 * day);
    const { address, peers } = await serve(authority, Date.now() + 9 * day, true);
    const dial = deviceDialer(enrolled(authority, address), { time: new BoundedClock(systemClock) });
    const ends: string[] = [];
    const listener = { message: () => undefined, closed: ({ why }: { why: string }) => void ends.push(why) };
    await dial(listener);
    await waitFor('a refusal', () => ends.length > 0);
    expect(ends[0]).toMatch(/not yet valid/);
    const stream = await dial(listener);
    await waitFor('the stream', () => peers.length > 0);
    stream.cancel();
    expect(peers).toEqual(['URI:urn:adaptlet:device:adaptlet-system:camera:0a']);
  });
});
