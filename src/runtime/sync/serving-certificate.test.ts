import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  verify,
  X509Certificate,
} from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { servingStatement } from '../../control/serving-statement.ts';
import {
  ServingCertificate as Answer,
  type ServingCertificateRequest,
} from '../../gen/adaptlet/control/v1/control.ts';
import { certifyHost, issueAuthority, publicKeyOf } from '../../operator/identity/certificate.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { ServingCertificate } from './serving-certificate.ts';

const self = 'adaptlet-system/node-1';
const lifetimeMs = 30 * 86_400_000;
const authority = await issueAuthority('operator', {
  from: Date.now() - 1_000,
  until: Date.now() + lifetimeMs,
});
const log = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };

let folder: string;
let path: string;
let clock: FakeClock;
let asked: ServingCertificateRequest[];
let changed: number;
let given: ServingCertificate;
/** False: the operator is away. */
let isThere: boolean;
beforeEach(async () => {
  vi.clearAllMocks();
  folder = await mkdtemp(join(tmpdir(), 'adaptlet-serving-'));
  path = join(folder, 'state', 'serving.pem');
  clock = new FakeClock();
  asked = [];
  changed = 0;
  isThere = true;
  given = new ServingCertificate({ path, self, clock, log, changed: async () => void (changed += 1) });
  given.questions.through((request) => {
    if (isThere) asked.push(request);
    return isThere;
  });
});
afterEach(async () => {
  given.close();
  await rm(folder, { recursive: true });
});

const question = (count: number): Promise<ServingCertificateRequest> =>
  vi.waitFor(() => {
    expect(asked).toHaveLength(count);
    return asked[count - 1] as ServingCertificateRequest;
  });
const certificateOf = (publicKey: KeyObject): string =>
  certifyHost(authority, {
    subject: { name: 'r' },
    names: ['a.example'],
    validity: { from: Date.now() - 1_000, until: Date.now() + lifetimeMs },
    publicKey,
  });
const answer = ({ id, publicKey: spki }: ServingCertificateRequest): void => {
  const certificate = certificateOf(publicKeyOf(spki, (what) => new Error(what)));
  given.questions.answered({ ...Answer.create(), id, certificate, lifetimeMs: BigInt(lifetimeMs) });
};
/** Connects, and is given the `count`th certificate. */
const certified = async (count = 1): Promise<string> => {
  given.questions.connected();
  answer(await question(count));
  await vi.waitFor(() => expect(changed).toBe(count));
  return await readFile(path, 'utf8');
};

describe('a certificate of the operator for the request ports', () => {
  it('is for a key that is made here and proved, and is on the disk with it for its owner alone', async () => {
    const pem = await certified();
    const [{ publicKey, signature, ...rest } = { publicKey: Buffer.alloc(0), signature: Buffer.alloc(0) }] =
      asked;
    expect(rest).toEqual({ id: 1n });
    const key = createPrivateKey(pem);
    const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
    expect(publicKey).toEqual(spki);
    expect(verify('sha256', servingStatement(self, spki), createPublicKey(key), signature)).toBe(true);
    expect(new X509Certificate(pem).checkPrivateKey(key)).toBe(true);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(folder, 'state'))).toEqual(['serving.pem']);
  });

  it('is renewed after a tenth of its life, with another key', async () => {
    const first = await certified();
    clock.advance(lifetimeMs / 10 - 1);
    expect(asked).toHaveLength(1);
    clock.advance(1);
    answer(await question(2));
    await vi.waitFor(() => expect(changed).toBe(2));
    const second = await readFile(path, 'utf8');
    expect(createPrivateKey(second).equals(createPrivateKey(first))).toBe(false);
    expect(new X509Certificate(second).checkPrivateKey(createPrivateKey(second))).toBe(true);
  });

  it('is asked for at the next stream, for its names may be others, and once a minute where streams break', async () => {
    await certified();
    given.questions.broken();
    clock.advance(30_000);
    given.questions.connected();
    given.questions.connected();
    await new Promise(setImmediate);
    clock.advance(29_999);
    expect(asked).toHaveLength(1);
    clock.advance(1);
    answer(await question(2));
    await vi.waitFor(() => expect(changed).toBe(2));
    clock.advance(60_000);
    await certified(3);
  });

  it('stays while the operator is away or gives none, and is asked for again', async () => {
    const first = await certified();
    isThere = false;
    clock.advance(lifetimeMs / 10);
    await vi.waitFor(() => expect(log.warn).toHaveBeenCalledTimes(1));
    isThere = true;
    clock.advance(30_000);
    const { id } = await question(2);
    given.questions.answered({ ...Answer.create(), id, reason: 'not now' });
    await vi.waitFor(() => expect(log.warn).toHaveBeenCalledTimes(2));
    expect(log.warn.mock.calls[1]?.[0]).toMatchObject({
      err: { code: 'CERTIFICATE_REFUSED', what: 'not now' },
    });
    expect([changed, await readFile(path, 'utf8')]).toEqual([1, first]);
    clock.advance(30_000);
    answer(await question(3));
    await vi.waitFor(() => expect(changed).toBe(2));
  });

  it('is asked for, and spoken of, no more while there is no stream: the next one asks', async () => {
    await certified();
    given.questions.broken();
    isThere = false;
    for (let hours = 0; hours < 24 * 7; hours++) {
      clock.advance(3_600_000);
      await new Promise(setImmediate);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([log.warn.mock.calls, asked.length]).toEqual([[], 1]);
    isThere = true;
    await certified(2);
  });

  it('is not waited for without end by an operator of an earlier version', async () => {
    given.questions.connected();
    await question(1);
    clock.advance(5_000);
    await vi.waitFor(() => expect(log.warn).toHaveBeenCalledTimes(1));
    expect(log.warn.mock.calls[0]?.[0]).toMatchObject({ err: { advice: expect.stringContaining('older') } });
  });

  it('is not shown where the disk does not take it', async () => {
    await writeFile(join(folder, 'state'), 'no folder');
    given.questions.connected();
    answer(await question(1));
    await vi.waitFor(() => expect(log.warn).toHaveBeenCalledTimes(1));
    expect(changed).toBe(0);
    expect(log.warn.mock.calls[0]?.[1]).toContain('could not be kept on this node');
    await rm(join(folder, 'state'));
    clock.advance(30_000);
    answer(await question(2));
    await vi.waitFor(() => expect(changed).toBe(1));
  });

  const { publicKey: another } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  it.each([
    ['no PEM', () => 'certificate', 'no certificate'],
    ['a PEM that is broken', (pem: string) => pem.replace(/\n.{20}/, '\n'), 'no certificate'],
    ['a PEM that is cut', (pem: string) => pem.slice(0, 200), 'no certificate'],
    ['one of another key', () => certificateOf(another), 'of another key'],
  ])('stays where the operator sends %s', async (_, spoilt, why) => {
    const first = await certified();
    clock.advance(lifetimeMs / 10);
    const { id, publicKey } = await question(2);
    const good = certificateOf(publicKeyOf(publicKey, (what) => new Error(what)));
    given.questions.answered({
      ...Answer.create(),
      id,
      certificate: spoilt(good),
      lifetimeMs: BigInt(lifetimeMs),
    });
    await vi.waitFor(() => expect(log.warn).toHaveBeenCalledTimes(1));
    expect(log.warn.mock.calls[0]?.[0]).toMatchObject({
      err: { code: 'CERTIFICATE_REFUSED', what: expect.stringContaining(why) },
    });
    expect([changed, await readFile(path, 'utf8')]).toEqual([1, first]);
    clock.advance(30_000);
    answer(await question(3));
    await vi.waitFor(() => expect(changed).toBe(2));
  });
});
