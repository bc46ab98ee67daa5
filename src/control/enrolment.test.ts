import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../errors/code-of.fixture.ts';
import { issueAuthority } from '../operator/identity/certificate.ts';
import { certificatePem, type EnrolmentToken, readToken, tokenText } from './enrolment.ts';

const token: EnrolmentToken = {
  address: 'devices.example.com:443',
  authority: Buffer.from('a certificate').toString('base64'),
  namespace: 'adaptlet-system',
  name: 'camera-7',
  secret: 's'.repeat(43),
};
const textOf = (value: unknown): string =>
  `adaptlet-enrol-1.${Buffer.from(JSON.stringify(value)).toString('base64url')}`;

describe('the token of a device', () => {
  it('is one word, and is read as it was written, with the end of a line', () => {
    expect(tokenText(token)).toMatch(/^[\w.-]+$/);
    expect(readToken(`${tokenText(token)}\n`, 'the file')).toEqual(token);
  });

  it.each([
    ['nothing', ''],
    ['a part', tokenText(token).slice(0, -20)],
    ['other text', 'adk_something'],
    ['of another version', tokenText(token).replace('-1.', '-2.')],
    ['without an address', textOf({ ...token, address: 'devices.example.com' })],
    ['with a short secret', textOf({ ...token, secret: 's' })],
    ['with a name that is none', textOf({ ...token, name: '../x' })],
    ['too long', textOf({ ...token, authority: 'A'.repeat(4096) })],
  ])('that is %s is refused', async (_, text) => {
    expect(await codeOf(() => readToken(text, 'the file'))).toBe('CONFIG_INVALID');
  });

  it('carries a certificate that OpenSSL reads', async () => {
    const { certificate } = await issueAuthority('adaptlet', { from: 0, until: Date.now() + 1_000 });
    const base64 = certificate.replace(/-----[A-Z ]+-----|\s/g, '');
    expect(certificatePem(base64)).toBe(certificate);
    expect(new X509Certificate(certificatePem(base64)).subject).toBe('CN=adaptlet');
  });
});
