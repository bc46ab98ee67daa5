import { execFileSync } from 'node:child_process';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authorityName, isPair, issueAuthority, issueCertificate, type KeyPair } from './certificate.ts';

const day = 86_400_000;
const now = Date.now();
const validity = { from: now - day, until: now + day };
const names = [
  'adaptlet-operator.adaptlet-system.svc',
  'localhost',
  '127.0.0.1',
  'fd00::1:2',
  '::ffff:10.0.0.1',
];

let folder: string;
let authority: KeyPair;
let leaf: KeyPair;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'certificate-'));
  authority = await issueAuthority('adaptlet 01', validity);
  leaf = await issueCertificate(authority, {
    subject: { organization: 'adaptlet:replicas', name: 'operator-a' },
    names,
    validity: { from: now - day, until: now + 30 * day },
  });
  writeFileSync(join(folder, 'ca.crt'), authority.certificate);
  writeFileSync(join(folder, 'leaf.crt'), leaf.certificate);
  writeFileSync(join(folder, 'leaf.key'), leaf.key);
});
afterAll(() => rmSync(folder, { recursive: true }));

const openssl = (...args: readonly string[]): string =>
  execFileSync('openssl', [...args], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

describe('a certificate', () => {
  it.each(['sslserver', 'sslclient'])('is verified by OpenSSL as %s, with strict X.509', (purpose) => {
    const checked = openssl('verify', '-x509_strict', '-purpose', purpose, '-CAfile', 'ca.crt', 'leaf.crt');
    expect(checked).toBe('leaf.crt: OK\n');
  });

  it.each(names.filter((name) => /[a-z]\./.test(name)))('is for the name %s', (name) => {
    expect(new X509Certificate(leaf.certificate).checkHost(name)).toBe(name);
  });

  it.each(['127.0.0.1', 'fd00::1:2', '::ffff:10.0.0.1'])('is for the address %s', (address) => {
    expect(new X509Certificate(leaf.certificate).checkIP(address)).toBe(address);
  });

  it('never outlives its authority, and has its key', () => {
    const read = new X509Certificate(leaf.certificate);
    expect(read.validTo).toBe(new X509Certificate(authority.certificate).validTo);
    expect(read.ca).toBe(false);
    expect(isPair(leaf)).toBe(true);
    expect(isPair({ ...leaf, key: authority.key })).toBe(false);
  });

  it('is no pair with its own public half, which cannot sign', () => {
    const key = String(createPublicKey(leaf.key).export({ type: 'spki', format: 'pem' }));
    for (const other of [key, leaf.certificate]) expect(() => isPair({ ...leaf, key: other })).toThrow();
  });

  it('has extensions that OpenSSL reads as what they are meant to be', () => {
    const text = openssl('x509', '-in', 'leaf.crt', '-noout', '-text');
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature\n/);
    expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(/TLS Web Server Authentication, TLS Web Client Authentication/);
    expect(text).toMatch(/Subject: O = adaptlet:replicas, CN = operator-a/);
    const authorityText = openssl('x509', '-in', 'ca.crt', '-noout', '-text');
    expect(authorityText).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
    expect(authorityText).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  });

  it('may end after 2050, where dates have another form', async () => {
    const until = Date.UTC(2060, 1, 2, 3, 4, 5);
    const { certificate } = await issueAuthority('adaptlet 02', { from: now, until });
    expect(Date.parse(new X509Certificate(certificate).validTo)).toBe(until);
  });

  it('has a serial number of its own', async () => {
    const subject = { name: 'x' };
    const issued = await Promise.all(
      Array.from({ length: 20 }, () => issueCertificate(authority, { subject, names, validity })),
    );
    const numbers = issued.map(({ certificate }) => new X509Certificate(certificate).serialNumber);
    expect(new Set(numbers).size).toBe(20);
  });

  it('is no authority', () => {
    expect(authorityName(authority.certificate)).toBe('adaptlet 01');
    expect(() => authorityName(leaf.certificate)).toThrow(RangeError);
  });
});
