import { createPublicKey, verify, X509Certificate } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type EnrolmentToken, enrolStatement, renewStatement } from '../../control/enrolment.ts';
import type { EnrolRequest, RenewRequest } from '../../gen/adaptlet/enrolment/v1/enrolment.ts';
import { issueAuthority } from '../../operator/identity/certificate.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { DeviceMemory } from '../state/memory.ts';
import { Device } from './device.ts';

const day = 86_400_000;
const lifetimeMs = 30 * day;
const token: EnrolmentToken = {
  address: 'devices.example.com:443',
  authority: 'AAAA',
  namespace: 'adaptlet-system',
  name: 'camera-7',
  secret: 's'.repeat(43),
};

let clock: FakeClock;
/** What is on the disk. */
let disk: DeviceMemory | undefined;
let asked: { enrol: EnrolRequest[]; renew: RenewRequest[] };
/** Thrown by the operator. */
let refusal: Error | undefined;
/** Thrown by the disk. */
let broken: Error | undefined;
beforeEach(() => {
  clock = new FakeClock(Date.parse('2026-06-01T00:00:00Z'));
  disk = undefined;
  asked = { enrol: [], renew: [] };
  refusal = undefined;
  broken = undefined;
});

/** Any certificates do: the device does not look into its own. */
let certificates: string[];
beforeAll(async () => {
  const made = Array.from({ length: 50 }, () => issueAuthority('any', { from: 0, until: Date.now() }));
  certificates = (await Promise.all(made)).map(({ certificate }) => certificate);
});
const issue = async () => {
  if (refusal !== undefined) throw refusal;
  const certificate = certificates.pop() ?? '';
  return { certificate, lifetimeMs: BigInt(lifetimeMs) };
};

/** A process on the device. */
const start = (given?: EnrolmentToken): Device =>
  new Device({
    token: given,
    remembered: disk,
    memory: {
      write: async (device) => {
        if (broken !== undefined) throw broken;
        disk = device;
      },
    },
    calls: () => ({
      enrol: async (request) => {
        asked.enrol.push(request);
        return issue();
      },
      renew: async (request) => {
        asked.renew.push(request);
        return issue();
      },
    }),
    clock,
    logger: silentLog,
  });

/** Time goes on, in steps that are shorter than that of a device. */
const pass = async (hours: number): Promise<void> => {
  for (let hour = 0; hour < hours; hour++) {
    clock.advance(3_600_000);
    await settle();
  }
};

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
};

describe('a device with a token', () => {
  it('makes a key, has it on the disk before it is shown, and proves that it has it', async () => {
    refusal = new Error('UNAVAILABLE');
    const device = start(token);
    expect(device.enrolment).toMatchObject({ address: token.address, name: 'camera-7' });
    await expect(device.ready()).rejects.toThrow('UNAVAILABLE');
    expect(disk).toMatchObject({ certificate: '', name: 'camera-7' });
    const [request] = asked.enrol;
    const key = createPublicKey(disk?.key ?? '');
    expect(request?.publicKey).toEqual(key.export({ type: 'spki', format: 'der' }));
    expect(verify('sha256', enrolStatement(token.secret, request!.publicKey), key, request!.signature)).toBe(
      true,
    );
  });

  it('shows nothing while the disk does not keep its key', async () => {
    broken = new Error('ENOSPC');
    await expect(start(token).ready()).rejects.toThrow('ENOSPC');
    expect(asked.enrol).toEqual([]);
  });

  it('goes on with the same key after a power cut between the use of the token and its answer', async () => {
    refusal = new Error('UNAVAILABLE');
    await expect(start(token).ready()).rejects.toThrow();
    refusal = undefined;
    const { certificate } = await start(token).ready();
    expect(certificate).toContain('CERTIFICATE');
    expect(asked.enrol[1]?.publicKey).toEqual(asked.enrol[0]?.publicKey);
  });

  it('uses it once, keeps no secret, and needs it no more', async () => {
    await start(token).ready();
    expect(JSON.stringify(disk)).not.toContain(token.secret);
    const again = start(token);
    await again.ready();
    await start().ready();
    expect(asked.enrol).toHaveLength(1);
    expect(asked.renew).toHaveLength(0);
  });

  it('begins anew with another token, by another key', async () => {
    await start(token).ready();
    await start({ ...token, secret: 't'.repeat(43) }).ready();
    expect(asked.enrol).toHaveLength(2);
    expect(asked.enrol[1]?.publicKey).not.toEqual(asked.enrol[0]?.publicKey);
  });

  it('says what to do when the token went before it was used', async () => {
    refusal = new Error('UNAVAILABLE');
    await expect(start(token).ready()).rejects.toThrow();
    await expect(start().ready()).rejects.toThrow('Give it the token again');
  });
});

describe('a device with a certificate', () => {
  beforeEach(async () => {
    const first = start(token);
    await first.ready();
    first.close();
    asked.enrol = [];
  });

  it('renews it by itself after two thirds of its life, with the proof of its key', async () => {
    const device = start();
    await device.ready();
    await pass(20 * 24 - 1);
    expect(asked.renew).toHaveLength(0);
    const before = disk?.certificate ?? '';
    await pass(2);
    expect(asked.renew).toHaveLength(1);
    const [request] = asked.renew;
    expect(request?.certificate).toEqual(new X509Certificate(before).raw);
    const key = createPublicKey(disk?.key ?? '');
    expect(verify('sha256', renewStatement(request!.certificate), key, request!.signature)).toBe(true);
    expect(disk?.certificate).not.toBe(before);
    device.close();
    await pass(40 * 24);
    expect(asked.renew).toHaveLength(1);
  });

  it('goes on with it while the operator does not renew it, and tries again', async () => {
    refusal = new Error('UNAVAILABLE');
    const before = disk?.certificate;
    const device = start();
    clock.advance(21 * day);
    expect((await device.ready()).certificate).toBe(before);
    refusal = undefined;
    clock.advance(3_600_000);
    await settle();
    expect(disk?.certificate).not.toBe(before);
  });

  it('renews it when the operator refuses it, whatever the clock says, and shows it no more until then', async () => {
    const device = start();
    await device.ready();
    device.refused();
    refusal = new Error('PERMISSION_DENIED: the enrolment of the device was revoked');
    await expect(device.ready()).rejects.toThrow('revoked');
    refusal = undefined;
    await device.ready();
    await device.ready();
    expect(asked.renew).toHaveLength(2);
  });

  it('renews it at a start with a clock that begins in 1970', async () => {
    clock = new FakeClock(1_000);
    await start().ready();
    expect(asked.renew).toHaveLength(1);
  });

  it('goes on with a new one that the disk did not take', async () => {
    const device = start();
    device.refused();
    broken = new Error('ENOSPC');
    const { certificate } = await device.ready();
    expect(certificate).not.toBe(disk?.certificate);
    expect((await device.ready()).certificate).toBe(certificate);
  });
});
