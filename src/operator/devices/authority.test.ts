import { createPublicKey, X509Certificate } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { namespace, Stage } from './devices.fixture.ts';

const hour = 3_600_000;
const path = `/api/v1/namespaces/${namespace}/secrets/adaptlet-devices`;

afterEach(() => vi.restoreAllMocks());

type Data = Readonly<Record<'ca.crt' | 'ca.key', string>>;

/** The Secret of a stage, and what others write into it. */
const secretOf = ({ api }: Stage) => {
  const before = api.objects.get(path);
  if (before === undefined) throw new Error('there is no Secret');
  const data = before['data'] as Data;
  const textOf = (name: keyof Data): string => Buffer.from(data[name], 'base64').toString('utf8');
  const write = (key: string): void => {
    api.put(path, { ...before, data: { ...data, 'ca.key': Buffer.from(key, 'utf8').toString('base64') } });
  };
  return { certificate: textOf('ca.crt'), key: textOf('ca.key'), write };
};

/** Lets time pass until something is so. Keys are made meanwhile, in a thread of their own. */
const passUntil = (stage: Stage, ms: number, look: () => void): Promise<void> =>
  vi.waitFor(async () => {
    await stage.pass(ms);
    look();
  }, 10_000);

describe('a Secret whose ca.key cannot sign', () => {
  it.each([
    [
      'the public key',
      (_: string, key: string) => String(createPublicKey(key).export({ type: 'spki', format: 'pem' })),
    ],
    ['the certificate', (certificate: string) => certificate],
    ['no text of a key', () => 'none'],
  ])(
    'as it is %s, ends nothing: replicas go on by what they hold, say so, and use it once it is right',
    async (_, wrong) => {
      const [warn, info] = [vi.spyOn(silentLog, 'warn'), vi.spyOn(silentLog, 'info')];
      const stage = new Stage();
      const { authority } = await stage.replica('a');
      const { bundle, certificate: first } = authority.credentials();
      const secret = secretOf(stage);
      secret.write(wrong(secret.certificate, secret.key));

      await passUntil(stage, hour, () => expect(authority.credentials().certificate).not.toBe(first));
      const renewed = new X509Certificate(authority.credentials().certificate);
      expect(renewed.verify(new X509Certificate(bundle).publicKey)).toBe(true);
      const err = expect.objectContaining({
        code: 'AUTHORITY_INVALID',
        message: expect.stringContaining('ca.key') as string,
        advice: expect.stringContaining('Restore the Secret') as string,
      }) as unknown;
      expect(warn).toHaveBeenCalledWith({ err }, expect.stringContaining('tried again'));

      // One that starts has none, says what that means, and goes on all the same.
      const { authority: other } = await stage.replica('b');
      expect(other.isHeld).toBe(false);
      expect(warn).toHaveBeenCalledWith(
        { err },
        expect.stringContaining('no device outside of the cluster can'),
      );
      const lacks = expect.objectContaining({ code: 'AUTHORITY_INVALID' }) as Error;
      expect(() => other.credentials()).toThrow(lacks);
      const told: string[] = [];
      other.onChange(() => told.push(other.credentials().bundle));
      await stage.pass(hour);
      expect(other.isHeld).toBe(false);
      secret.write(secret.key);
      await passUntil(stage, 60_000, () => expect(told).toEqual([bundle]));
      expect(info).toHaveBeenCalledWith({}, expect.stringContaining('devices can connect and enrol'));
    },
  );
});

it('a replica that saw a Secret that cannot be used makes no authority where it is deleted: one that has it writes it again', async () => {
  const warn = vi.spyOn(silentLog, 'warn');
  const stage = new Stage();
  const { authority } = await stage.replica('a');
  const { bundle } = authority.credentials();
  secretOf(stage).write('none');
  const { authority: other } = await stage.replica('b');
  stage.api.objects.delete(path);
  const err = expect.objectContaining({
    message: expect.stringContaining('and is gone') as string,
  }) as unknown;
  // The first one looks once an hour.
  await passUntil(stage, 1_000, () => expect(warn).toHaveBeenCalledWith({ err }, expect.anything()));
  expect([other.isHeld, stage.api.objects.has(path)]).toEqual([false, false]);
  await stage.pass(hour);
  await passUntil(stage, 60_000, () => expect(other.isHeld).toBe(true));
  expect(other.credentials().bundle).toBe(bundle);
});

it('a certificate that somebody who is told of it cannot use is followed by the next one', async () => {
  const warn = vi.spyOn(silentLog, 'warn');
  const stage = new Stage();
  const { authority } = await stage.replica();
  authority.onChange(() => {
    throw new Error('no use');
  });
  for (let round = 0; round < 3; round++) {
    const { certificate } = authority.credentials();
    await passUntil(stage, hour, () => expect(authority.credentials().certificate).not.toBe(certificate));
  }
  const err = expect.objectContaining({ message: expect.stringContaining('no use') as string }) as unknown;
  expect(warn).toHaveBeenCalledWith({ err }, expect.stringContaining('tried again'));
});
