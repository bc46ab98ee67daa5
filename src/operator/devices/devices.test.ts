import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { checkCertificate } from '../../runtime/sync/trust.ts';
import { BoundedClock } from '../../time/bounded-clock.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeDevice, lifetimeMs, namespace, never, Stage, secret } from './devices.fixture.ts';
import { graceMs } from './devices.ts';

const day = 86_400_000;
const claim = { kind: 'Node' as const, namespace, name: 'camera' };

/** A stage with one replica, where a camera may enrol. */
const open = async () => {
  const stage = new Stage();
  const { devices, authority } = await stage.replica();
  stage.enrol();
  return { stage, devices, authority, device: new FakeDevice() };
};

/** One whose camera is enrolled. */
const enrolled = async () => {
  const opened = await open();
  const { certificate } = await opened.devices.enrol(opened.device.enrolment(), never);
  const der = new X509Certificate(certificate).raw;
  return { ...opened, certificate, der };
};

/** The code of what is refused after the patience of a replica. */
const refusalOf = async (stage: Stage, ask: () => Promise<unknown>): Promise<string> => {
  const code = codeOf(ask);
  await stage.pass(2_000);
  return code;
};

describe('a token', () => {
  it('gives a certificate to a key: of the name in the cluster, for clients alone, as long as it is set to', async () => {
    const { stage, devices, authority, device } = await open();
    const issued = await devices.enrol(device.enrolment(), never);
    const read = new X509Certificate(issued.certificate);
    expect(read.subjectAltName).toBe(`URI:urn:adaptlet:device:${namespace}:camera:0a`);
    // TLS Web Client Authentication.
    expect(read.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(read.publicKey.export({ type: 'spki', format: 'der' })).toEqual(device.publicKey);
    expect(Date.parse(read.validTo)).toBe(stage.clock.now() + lifetimeMs);
    expect(issued.lifetimeMs).toBe(BigInt(lifetimeMs));
    expect(read.verify(new X509Certificate(authority.credentials().bundle).publicKey)).toBe(true);
  });

  it('may be used again by the same key, whose answer was lost, and writes nothing then', async () => {
    const { stage, devices, device } = await open();
    await devices.enrol(device.enrolment(), never);
    await devices.enrol(device.enrolment(), never);
    expect(stage.writes).toHaveLength(1);
    expect(JSON.stringify(stage.writes)).not.toContain(secret);
  });

  it('is used up for every other key', async () => {
    const { devices, device } = await open();
    await devices.enrol(device.enrolment(), never);
    expect(await codeOf(() => devices.enrol(new FakeDevice().enrolment(), never))).toBe(
      'ENROLMENT_TOKEN_USED',
    );
  });

  it('is for one of two keys that come at once, to two replicas', async () => {
    const stage = new Stage();
    const [a, b] = [await stage.replica('a'), await stage.replica('b')];
    stage.enrol();
    const results = await Promise.all(
      [a, b].map(({ devices }) => codeOf(() => devices.enrol(new FakeDevice().enrolment(), never))),
    );
    expect(results.toSorted()).toEqual(['ENROLMENT_TOKEN_USED', 'none']);
    expect(stage.writes).toHaveLength(2);
  });

  it('is over after its time', async () => {
    const { stage, devices, device } = await open();
    stage.clock.advance(3_600_000);
    expect(await codeOf(() => devices.enrol(device.enrolment(), never))).toBe('ENROLMENT_TOKEN_EXPIRED');
  });

  it.each([
    ['of another secret', ['camera', 'x'.repeat(43)]],
    ['of another name', ['other', secret]],
    ['for a name that is none', ['../../camera', secret]],
    ['without a secret', ['camera', '']],
    ['of a megabyte', ['camera', 'x'.repeat(1 << 20)]],
  ] as const)('%s is none', async (_, [name, of]) => {
    const { stage, devices, device } = await open();
    expect(await refusalOf(stage, () => devices.enrol(device.enrolment(name, of), never))).toBe(
      'ENROLMENT_TOKEN_UNKNOWN',
    );
  });

  it('is none for a runtime of the cluster, which has no enrolment', async () => {
    const stage = new Stage();
    const { devices } = await stage.replica();
    stage.enrol();
    stage.delete('camera');
    const asked = () => devices.enrol(new FakeDevice().enrolment(), never);
    expect(await refusalOf(stage, asked)).toBe('ENROLMENT_TOKEN_UNKNOWN');
  });

  it('of a device that was revoked gives nothing', async () => {
    const { stage, devices, device } = await open();
    stage.change('camera', { revoked: true });
    expect(await codeOf(() => devices.enrol(device.enrolment(), never))).toBe('DEVICE_REVOKED');
  });

  it('is known to a replica that sees it a little later', async () => {
    const stage = new Stage();
    const { devices } = await stage.replica('a', true);
    stage.enrol();
    const device = new FakeDevice();
    const asked = codeOf(() => devices.enrol(device.enrolment(), never));
    await stage.pass(100);
    stage.show();
    expect(await asked).toBe('none');
  });

  it('needs a proof of the key, which is of the right kind and size', async () => {
    const { stage, devices, device } = await open();
    const request = device.enrolment();
    const other = new FakeDevice();
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    for (const wrong of [
      { ...request, publicKey: other.publicKey },
      { ...request, signature: other.enrolment().signature },
      { ...request, signature: Buffer.alloc(0) },
      { ...request, signature: Buffer.alloc(1 << 20) },
      { ...request, publicKey: Buffer.alloc(1 << 20) },
      { ...request, publicKey: Buffer.from('no key') },
      { ...request, publicKey: rsa.export({ type: 'spki', format: 'der' }) },
      new FakeDevice('P-384').enrolment(),
    ])
      expect(await codeOf(() => devices.enrol(wrong, never))).toBe('ENROLMENT_INVALID');
    expect(stage.writes).toEqual([]);
    expect(await codeOf(() => devices.enrol(request, never))).toBe('none');
  });

  it('that is right is not held up by floods of wrong ones, which are cut off', async () => {
    const { stage, devices, device } = await open();
    const flood = Array.from({ length: 100 }, (_, i) =>
      codeOf(() => devices.enrol(device.enrolment('camera', `${i}`.padStart(43, 'x')), never)),
    );
    expect(await codeOf(() => devices.enrol(device.enrolment(), never))).toBe('none');
    await stage.pass(2_000);
    const codes = await Promise.all(flood);
    expect(codes.filter((code) => code === 'ENROLMENT_TOKEN_UNKNOWN')).toHaveLength(30);
    expect(codes.filter((code) => code === 'ENROLMENT_BUSY')).toHaveLength(70);
    expect(stage.writes).toHaveLength(1);
  });
});

describe('a certificate', () => {
  it('is renewed for its key, also when it is over, until the grace is over too', async () => {
    const { stage, devices, device, certificate } = await enrolled();
    stage.clock.advance(20 * day);
    const renewed = await devices.renew(device.renewal(certificate), never);
    expect(Date.parse(new X509Certificate(renewed.certificate).validTo)).toBe(stage.clock.now() + lifetimeMs);
    stage.clock.advance(lifetimeMs + graceMs);
    expect(await codeOf(() => devices.renew(device.renewal(renewed.certificate), never))).toBe('none');
    stage.clock.advance(1_000);
    expect(await codeOf(() => devices.renew(device.renewal(renewed.certificate), never))).toBe(
      'DEVICE_EXPIRED',
    );
  });

  it('is renewed for nobody who has it without its key', async () => {
    const { devices, certificate } = await enrolled();
    const thief = new FakeDevice();
    expect(await codeOf(() => devices.renew(thief.renewal(certificate), never))).toBe('ENROLMENT_INVALID');
  });

  it('of another authority, of a replica, or of nobody, is none', async () => {
    const { devices, authority, device } = await enrolled();
    const foreign = await enrolled();
    for (const other of [
      foreign.certificate,
      authority.credentials().certificate,
      authority.credentials().bundle,
    ])
      expect(await codeOf(() => devices.renew(device.renewal(other), never))).toBe('ENROLMENT_INVALID');
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(1 << 20), Buffer.from('none')])
      expect(await codeOf(() => devices.renew({ certificate: bytes, signature: bytes }, never))).toBe(
        'ENROLMENT_INVALID',
      );
  });

  it.each([
    ['was revoked', (stage: Stage) => stage.change('camera', { revoked: true })],
    ['was enrolled anew', (stage: Stage) => stage.change('camera', { id: '0b' })],
    ['was deleted', (stage: Stage) => stage.delete('camera')],
    [
      'was deleted and made again',
      (stage: Stage) => {
        stage.delete('camera');
        stage.enrol('camera', { id: '0b' });
      },
    ],
  ])('of an enrolment that %s is nothing any more', async (_, change) => {
    const { stage, devices, device, certificate, der } = await enrolled();
    const bound = (await devices.identify(der, never))(claim);
    expect(bound.device?.refusal()).toBeUndefined();
    change(stage);
    expect(bound.device?.refusal()?.code).toBe('DEVICE_REVOKED');
    expect(await refusalOf(stage, () => devices.identify(der, never))).toBe('DEVICE_REVOKED');
    expect(await refusalOf(stage, () => devices.renew(device.renewal(certificate), never))).toBe(
      'DEVICE_REVOKED',
    );
  });

  it('of a deleted enrolment is told so at once from the second time on, whatever else many such devices and strangers show', async () => {
    const { stage, devices, authority, device, der, certificate } = await enrolled();
    const key = createPublicKey(device.privateKey);
    const gone = Array.from({ length: 100 }, (_, at) => {
      const of = { namespace, name: `gone-${at}`, id: `${at}` };
      return new X509Certificate(authority.certify(of, key, stage.clock.now() + lifetimeMs)).raw;
    });
    const dial = (certificates: readonly Buffer[]) =>
      certificates.map((one) => codeOf(() => devices.identify(one, never)));
    const strangers = Array.from({ length: 100 }, (_, at) =>
      codeOf(() => devices.enrol(device.enrolment('camera', `${at}`.padStart(43, 'x')), never)),
    );
    const first = dial(gone);
    await stage.pass(2_000);
    expect(new Set(await Promise.all(first))).toEqual(new Set(['DEVICE_REVOKED']));
    await Promise.all(strangers);
    expect(new Set(await Promise.all(dial(gone)))).toEqual(new Set(['DEVICE_REVOKED']));
    // One that this replica sees a little later is waited for all the same.
    stage.change('camera', { id: 'former' });
    const asked = codeOf(() => devices.identify(der, never));
    await stage.pass(100);
    stage.change('camera', { id: '0a' });
    expect(await asked).toBe('none');
    expect(await codeOf(() => devices.renew(device.renewal(certificate), never))).toBe('none');
  });

  it('of an enrolment that was gone is good again when it is there again', async () => {
    const { stage, devices, der } = await enrolled();
    stage.delete('camera');
    expect(await refusalOf(stage, () => devices.identify(der, never))).toBe('DEVICE_REVOKED');
    stage.enrol();
    expect(await codeOf(() => devices.identify(der, never))).toBe('none');
  });

  it('lets its device be itself alone', async () => {
    const { devices, der } = await enrolled();
    const bind = await devices.identify(der, never);
    expect(bind(claim)).toMatchObject({ key: `${namespace}/camera`, node: '', ownerUid: '' });
    for (const other of [
      { ...claim, name: 'other' },
      { ...claim, namespace: 'team-a' },
      { ...claim, kind: 'Pod' as const },
    ])
      expect(await codeOf(() => bind(other))).toBe('PEER_IDENTITY');
  });

  it('lets nobody in after its end, or when it is none', async () => {
    const { stage, devices, authority, der } = await enrolled();
    const replica = new X509Certificate(authority.credentials().certificate).raw;
    for (const other of [undefined, replica, Buffer.from('none')])
      expect(await codeOf(() => devices.identify(other, never))).toBe('RUNTIME_UNAUTHENTICATED');
    stage.clock.advance(lifetimeMs);
    expect(await codeOf(() => devices.identify(der, never))).toBe('RUNTIME_UNAUTHENTICATED');
  });
});

describe('the authority for devices', () => {
  it('is one for all replicas, and stays when its Secret was deleted while one of them lives', async () => {
    const stage = new Stage();
    const [a, b] = await Promise.all([stage.replica('a'), stage.replica('b')]);
    const { bundle } = a.authority.credentials();
    expect(b.authority.credentials().bundle).toBe(bundle);
    const path = `/api/v1/namespaces/${namespace}/secrets/adaptlet-devices`;
    expect(stage.api.objects.has(path)).toBe(true);
    stage.api.objects.delete(path);
    await stage.pass(3_600_000);
    const c = await stage.replica('c');
    expect(c.authority.credentials().bundle).toBe(bundle);
  });

  it('is there once an API server answers that did not yet, and leaves nothing at the signal of the start', async () => {
    const stage = new Stage();
    let refused = 0;
    stage.api.before = () => {
      if (refused >= 3) return undefined;
      refused += 1;
      throw new AdaptletError('KUBE_UNAVAILABLE', 'starting');
    };
    const { authority } = await stage.replica();
    expect([refused, authority.isHeld]).toEqual([1, false]);
    // A key is made meanwhile, in a thread of its own.
    await vi.waitFor(async () => {
      await stage.pass(1_000);
      expect(stage.api.objects.size).toBe(2);
    });
    await vi.waitFor(() => expect(authority.isHeld).toBe(true));
    expect([refused, authority.credentials().bundle]).toEqual([3, expect.stringContaining('CERTIFICATE')]);
    expect(getEventListeners(never, 'abort')).toEqual([]);
  });

  it('publishes what tokens are made of, and no key', async () => {
    const stage = new Stage();
    const { authority } = await stage.replica();
    const published = stage.api.objects.get(`/api/v1/namespaces/${namespace}/configmaps/adaptlet-devices`);
    expect(published).toMatchObject({
      data: { 'ca.crt': authority.credentials().bundle, address: 'localhost:9445' },
    });
    expect(JSON.stringify(published)).not.toContain('PRIVATE');
  });

  it('can be checked by a device, also by one whose clock is at its beginning, which learns the time from it', async () => {
    const stage = new Stage();
    const { authority } = await stage.replica();
    const { certificate, bundle } = authority.credentials();
    const time = new BoundedClock(new FakeClock(0), { atLeast: 0, last: 0 });
    const shown = new X509Certificate(certificate);
    time.settle(checkCertificate(shown, { bundle: Buffer.from(bundle), host: 'localhost', time }));
    expect([time.isBehind, stage.clock.now() - time.now()]).toEqual([true, day]);
    const folder = folderOfTest();
    writeFileSync(join(folder, 'ca.crt'), bundle);
    writeFileSync(join(folder, 'leaf.crt'), certificate);
    const now = String(Math.floor(stage.clock.now() / 1000));
    const args = ['verify', '-purpose', 'sslserver', '-CAfile', 'ca.crt', '-attime', now, 'leaf.crt'];
    expect(execFileSync('openssl', args, { cwd: folder, encoding: 'utf8' })).toBe('leaf.crt: OK\n');
  });

  it('gives replicas another certificate before the last one is over', async () => {
    const stage = new Stage();
    const { authority } = await stage.replica();
    const digest = () => createHash('sha256').update(authority.credentials().certificate).digest('hex');
    const before = digest();
    await stage.pass(3_600_000);
    // A key is made meanwhile, in a thread of its own.
    await vi.waitFor(() => expect(digest()).not.toBe(before), 10_000);
    const end = Date.parse(new X509Certificate(authority.credentials().certificate).validTo);
    expect(end - stage.clock.now()).toBeGreaterThan(day);
  });
});
