import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait.ts';
import { issueAuthority, issueCertificate, type KeyPair } from '../../operator/identity/certificate.ts';
import { BoundedClock } from '../../time/bounded-clock.ts';
import { systemClock } from '../../time/clock.ts';
import { tlsDialer } from './dial.ts';
import { FakeOperator } from './testing/fake-operator.ts';

const hour = 3_600_000;
const day = 24 * hour;
/** What a clock of 1970 is for real certificates, this clock is for those of next year. */
const nextYear = Date.now() + 365 * day;

let folder: string;
let caFile: string;
let tokenFile: string;
let operator: FakeOperator;
beforeEach(async () => {
  folder = folderOfTest();
  caFile = join(folder, 'ca.crt');
  tokenFile = join(folder, 'token');
  await writeFile(tokenFile, 'secret');
  operator = new FakeOperator();
});
afterEach(() => {
  operator.stop();
});

const authorityFrom = (from: number, name = 'adaptlet', until = from + 365 * day): Promise<KeyPair> =>
  issueAuthority(name, { from, until });
const serve = async (authority: KeyPair, from: number, until = from + day, names = ['127.0.0.1']) => {
  const subject = { organization: 'adaptlet:replicas', name: 'operator-0' };
  const { certificate, key } = await issueCertificate(authority, {
    subject,
    names,
    validity: { from, until },
  });
  operator.stop();
  await operator.listen({ certificate: Buffer.from(certificate), key: Buffer.from(key) });
};
const trust = (...authorities: readonly KeyPair[]) =>
  writeFile(caFile, authorities.map(({ certificate }) => certificate).join(''));

const dialerOf = (time: BoundedClock) => tlsDialer({ address: operator.address, caFile, tokenFile, time });
/** Dials once: '' when the operator got the stream, else why not. */
const dial = async (time = new BoundedClock(systemClock), dialer = dialerOf(time)): Promise<string> => {
  const before = operator.streams.length;
  let why: string | undefined;
  const stream = await dialer({
    message: () => undefined,
    closed: (end) => {
      why = end.why;
    },
  });
  const ended = await waitFor('a stream or a refusal', () => {
    if (operator.streams.length > before) return { why: '' };
    return why === undefined ? undefined : { why };
  });
  stream.cancel();
  return ended.why;
};

describe('TLS to the operator from a node whose clock says 1970', () => {
  it('comes about, and says what time it is at least', async () => {
    const authority = await authorityFrom(nextYear - 30 * day);
    await trust(authority);
    await serve(authority, nextYear);
    const time = new BoundedClock(systemClock);
    expect(await dial(time)).toBe('');
    expect(time.isBehind).toBe(true);
    expect(time.now() - nextYear).toBeLessThan(hour);
    expect(time.now() - nextYear).toBeGreaterThan(-2_000);
    expect(operator.streams.at(-1)?.authorization).toBe('Bearer secret');
  });

  it('does not for what no authority of the bundle signed, and nothing is sent to it', async () => {
    await trust(await authorityFrom(nextYear, 'mine'));
    await serve(await authorityFrom(nextYear, 'mine'), nextYear);
    expect(await dial()).toMatch(/unable to verify.*no authority in .*ca\.crt signed/);
    await serve(await authorityFrom(nextYear, 'other'), nextYear);
    expect(await dial()).toMatch(/unable to verify.*no authority in .*ca\.crt signed/);
    expect(operator.streams).toEqual([]);
  });

  it('does not for another server', async () => {
    const authority = await authorityFrom(nextYear);
    await trust(authority);
    await serve(authority, nextYear, nextYear + day, ['other.example']);
    expect(await dial()).toMatch(/IP: 127\.0\.0\.1 is not in the cert's list/);
  });

  it('does not for a certificate, or an authority, that was over before what is known of the time', async () => {
    const authority = await authorityFrom(nextYear);
    await trust(authority);
    await serve(authority, nextYear, nextYear + day);
    const known = { atLeast: nextYear + 2 * day, last: 0 };
    expect(await dial(new BoundedClock(systemClock, known))).toMatch(/certificate has expired; the clock/);
    const short = await authorityFrom(nextYear, 'short', nextYear + day);
    await trust(short);
    await serve(short, nextYear, nextYear + 9 * day);
    expect(await dial(new BoundedClock(systemClock, known))).toMatch(/certificate has expired; the clock/);
    expect(operator.streams).toEqual([]);
  });

  it('does not for an authority that stands for a server itself', async () => {
    const authority = await authorityFrom(nextYear);
    await trust(authority);
    await operator.listen({
      certificate: Buffer.from(authority.certificate),
      key: Buffer.from(authority.key),
    });
    expect(await dial()).toMatch(/unsuitable certificate purpose/);
  });
});

describe('TLS to the operator from a node whose clock is right', () => {
  it('says at least when its certificate began; a later restart in 1970 knows it', async () => {
    const authority = await authorityFrom(Date.now() - 30 * day);
    await trust(authority);
    await serve(authority, Date.now() - hour);
    const time = new BoundedClock(systemClock);
    expect(await dial(time)).toBe('');
    expect(time.isBehind).toBe(false);
    expect(Date.now() - hour - time.known().atLeast).toBeLessThan(2_000);
  });

  it('is refused where the certificate is over, with what to look at', async () => {
    const authority = await authorityFrom(Date.now() - 30 * day);
    await trust(authority);
    await serve(authority, Date.now() - 2 * day);
    expect(await dial()).toMatch(/has expired; the clock of this node is wrong, or/);
    expect(operator.streams).toEqual([]);
  });
});

describe('TLS to the operator from a node whose clock is some weeks late', () => {
  it('comes about at the second try: a certificate that begins later says what time it is', async () => {
    const authority = await authorityFrom(Date.now() - 30 * day);
    await trust(authority);
    await serve(authority, Date.now() + 9 * day);
    const time = new BoundedClock(systemClock);
    const dialer = dialerOf(time);
    expect(await dial(time, dialer)).toMatch(/not yet valid; the clock of this node is behind/);
    expect(operator.streams).toEqual([]);
    expect(await dial(time, dialer)).toBe('');
    expect(time.isBehind).toBe(true);
    expect(time.now() - Date.now()).toBeGreaterThan(8 * day);
  });
});

describe('what a replica says whose clock is ahead', () => {
  it('keeps no node from the operator: its clock and the next certificate speak against it', async () => {
    const authority = await authorityFrom(Date.now() - 30 * day);
    await trust(authority);
    const time = new BoundedClock(systemClock);
    await serve(authority, Date.now() + 9 * day);
    const dialer = dialerOf(time);
    await dial(time, dialer);
    expect([await dial(time, dialer), time.isBehind]).toEqual(['', true]);
    await serve(authority, Date.now() - hour);
    expect(await dial(time)).toBe('');
    expect([time.isBehind, time.now() - Date.now() < hour]).toEqual([false, true]);
    expect(Date.now() - hour - time.known().atLeast).toBeLessThan(2_000);
  });

  it('is forgotten also where the next certificate is not over by it', async () => {
    const authority = await authorityFrom(Date.now() - 30 * day);
    await trust(authority);
    const time = new BoundedClock(systemClock, { atLeast: Date.now() + hour, last: Date.now() + hour });
    await serve(authority, Date.now() - hour);
    expect([await dial(time), time.isBehind]).toEqual(['', false]);
  });

  it('stays where the clock does not speak against it: that a device can check a certificate in 1970 says nothing of the time', async () => {
    const authority = await authorityFrom(nextYear);
    await trust(authority);
    await serve(authority, 0, nextYear + 2 * day);
    const time = new BoundedClock(systemClock);
    expect([await dial(time), time.isBehind]).toEqual(['', true]);
    expect(nextYear - time.known().atLeast).toBeLessThan(2_000);
  });
});

describe('a clock that was years ahead, and begins in 1970 since', () => {
  it('keeps no node from the operator, and is put right by what that shows', async () => {
    const authority = await authorityFrom(nextYear - 30 * day);
    await trust(authority);
    await serve(authority, nextYear);
    const time = new BoundedClock(systemClock, { atLeast: nextYear - 30 * day, last: nextYear + 9000 * day });
    expect(await dial(time)).toBe('');
    expect(time.now() - nextYear).toBeLessThanOrEqual(day + hour);
  });
});

describe('another authority of the operator', () => {
  it('is followed once the file has it, without a restart', async () => {
    const [former, lost] = [
      await authorityFrom(Date.now() - 9 * day, 'a'),
      await authorityFrom(Date.now() - hour, 'b'),
    ];
    await trust(former);
    await serve(lost, Date.now() - hour);
    expect(await dial()).toMatch(/no authority in .*the kubelet brings the new file/);
    await trust(lost);
    expect(await dial()).toBe('');
  });
});
