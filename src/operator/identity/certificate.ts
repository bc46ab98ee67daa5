import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import { promisify } from 'node:util';
import { bits, boolean, integer, octets, oid, sequence, set, tagged, time, utf8 } from './der.ts';

/** A certificate and its private key (PKCS #8), in PEM. */
export type KeyPair = { readonly certificate: string; readonly key: string };

/** Wall times in milliseconds; certificates have whole seconds. */
export type Validity = { readonly from: number; readonly until: number };

export type Subject = { readonly organization?: string; readonly name: string };

const serverAuth = '1.3.6.1.5.5.7.3.1';
const clientAuth = '1.3.6.1.5.5.7.3.2';

const newKey = (): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> =>
  promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });

/**
 * A self-signed certificate that may sign those of servers and clients, and no other authority.
 *
 * @param name its common name; another one for each authority, so that chains are found by name
 */
export const issueAuthority = async (name: string, validity: Validity): Promise<KeyPair> => {
  const subject = { name };
  const { publicKey, privateKey } = await newKey();
  const extensions = [
    extension('2.5.29.19', true, sequence(boolean(true), integer(0n))),
    // keyCertSign and cRLSign.
    extension('2.5.29.15', true, bits(Uint8Array.of(0b0000_0110), 1)),
  ];
  const certificate = signed(
    { subject, issuer: subject, validity, publicKey, extensions },
    publicKey,
    privateKey,
  );
  return { certificate, key: pkcs8(privateKey) };
};

/**
 * A certificate for a server that is also a client of its like. It never outlives the authority.
 *
 * @param names DNS names and IP addresses that it is for
 */
export const issueCertificate = async (
  authority: KeyPair,
  { subject, names, validity }: { subject: Subject; names: readonly string[]; validity: Validity },
): Promise<KeyPair> => {
  const { publicKey, privateKey } = await newKey();
  const certificate = issueEnd(authority, {
    subject,
    validity,
    publicKey,
    purposes: [serverAuth, clientAuth],
    names: names.map(generalName),
  });
  return { certificate, key: pkcs8(privateKey) };
};

type Elsewhere = { readonly subject: Subject; readonly validity: Validity; readonly publicKey: KeyObject };

/** What is certified of a key that is elsewhere. `uri`: its only name. */
export type Certified = Elsewhere & { readonly uri: string };

const certify = (authority: KeyPair, { uri, ...rest }: Certified, purpose: string): string =>
  issueEnd(authority, {
    ...rest,
    purposes: [purpose],
    names: [tagged(6, Buffer.from(uri, 'ascii'), false)],
  });

/** A certificate for a client, which can be no server's. It never outlives the authority. */
export const certifyClient = (authority: KeyPair, certified: Certified): string =>
  certify(authority, certified, clientAuth);

/** A certificate for a server that is known by a URI, as no operator is, and which can be no client's. */
export const certifyServer = (authority: KeyPair, certified: Certified): string =>
  certify(authority, certified, serverAuth);

/** A certificate for a server whose key is elsewhere, by DNS names and IP addresses, which can be no client's. */
export const certifyHost = (
  authority: KeyPair,
  { names, ...rest }: Elsewhere & { readonly names: readonly string[] },
): string => issueEnd(authority, { ...rest, purposes: [serverAuth], names: names.map(generalName) });

const issueEnd = (
  authority: KeyPair,
  {
    purposes,
    names,
    validity,
    ...rest
  }: Pick<Body, 'subject' | 'validity' | 'publicKey'> & {
    readonly purposes: readonly string[];
    readonly names: readonly Buffer[];
  },
): string => {
  const { validTo, publicKey: issuerKey } = new X509Certificate(authority.certificate);
  const issuer = { name: authorityName(authority.certificate) };
  const extensions = [
    extension('2.5.29.19', true, sequence()),
    // digitalSignature.
    extension('2.5.29.15', true, bits(Uint8Array.of(0b1000_0000), 7)),
    extension('2.5.29.37', false, sequence(...purposes.map(oid))),
    extension('2.5.29.17', false, sequence(...names)),
  ];
  const until = Math.min(validity.until, Date.parse(validTo));
  const body = { ...rest, issuer, validity: { from: validity.from, until }, extensions };
  return signed(body, issuerKey, authority.key);
};

const pkcs8 = (key: KeyObject): string => String(key.export({ type: 'pkcs8', format: 'pem' }));

type Body = {
  readonly subject: Subject;
  readonly issuer: Subject;
  readonly validity: Validity;
  readonly publicKey: KeyObject;
  readonly extensions: readonly Buffer[];
};

/** RFC 5280, 4.1. */
const signed = (
  { subject, issuer, validity, publicKey, extensions }: Body,
  issuerKey: KeyObject,
  signingKey: KeyObject | string,
): string => {
  const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'));
  const body = sequence(
    tagged(0, integer(2n), true),
    // 127 random bits: unique, positive, at most 20 octets.
    integer(BigInt(`0x${randomBytes(16).toString('hex')}`) >> 1n),
    ecdsaWithSha256,
    nameOf(issuer),
    sequence(time(validity.from), time(validity.until)),
    nameOf(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(
      3,
      sequence(
        ...extensions,
        extension('2.5.29.14', false, octets(keyId(publicKey))),
        extension('2.5.29.35', false, sequence(tagged(0, keyId(issuerKey), false))),
      ),
      true,
    ),
  );
  return pem('CERTIFICATE', sequence(body, ecdsaWithSha256, bits(sign('sha256', body, signingKey))));
};

const pem = (label: string, content: Buffer): string => {
  const lines = content.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
};

const nameOf = ({ organization, name }: Subject): Buffer =>
  sequence(
    ...(organization === undefined ? [] : [set(sequence(oid('2.5.4.10'), utf8(organization)))]),
    set(sequence(oid('2.5.4.3'), utf8(name.slice(0, maxCommonName)))),
  );

/** ub-common-name of RFC 5280, appendix A. */
const maxCommonName = 64;

const extension = (id: string, critical: boolean, value: Buffer): Buffer =>
  sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value));

/** RFC 7093, 2, method 1: the leftmost 160 bits of the hash of the subjectPublicKey. */
const keyId = (key: KeyObject): Buffer => {
  const { x, y } = key.export({ format: 'jwk' });
  const point = Buffer.concat([
    Buffer.from([4]),
    Buffer.from(x ?? '', 'base64url'),
    Buffer.from(y ?? '', 'base64url'),
  ]);
  return createHash('sha256').update(point).digest().subarray(0, 20);
};

const generalName = (name: string): Buffer => {
  const address = addressBytes(name);
  return address === undefined ? tagged(2, Buffer.from(name, 'ascii'), false) : tagged(7, address, false);
};

/** The 4 or 16 bytes of an IP address; undefined for a DNS name. */
const addressBytes = (name: string): Buffer | undefined => {
  if (isIPv4(name)) return Buffer.from(name.split('.').map(Number));
  if (!isIPv6(name)) return undefined;
  const { address } = new SocketAddress({ address: name, family: 'ipv6' });
  const [head = '', tail] = address.split('::');
  const [first, last] = [groups(head), groups(tail)];
  const all = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
};

/** The 16-bit groups of one side of `::`. */
const groups = (part: string | undefined): number[] =>
  (part ?? '')
    .split(':')
    .filter((group) => group !== '')
    .flatMap((group) => {
      if (!group.includes('.')) return [Number.parseInt(group, 16)];
      const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
      return [a * 256 + b, c * 256 + d];
    });

/**
 * A public key on the curve P-256, of SubjectPublicKeyInfo in DER.
 * @throws what `invalid` makes
 */
export const publicKeyOf = (
  spki: Uint8Array,
  invalid: (what: string, cause?: unknown) => Error,
): KeyObject => {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch (error) {
    throw invalid('the public key cannot be read', error);
  }
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw invalid('the public key is not one on the curve P-256');
  return key;
};

/** Longest public key and signature, in bytes. */
const longest = { key: 256, signature: 128 };

/**
 * A public key on the curve P-256 whose holder signed the statement, by ECDSA with SHA-256.
 * @throws what `invalid` makes
 */
export const provedKey = (
  spki: Uint8Array,
  { signature, statement }: { readonly signature: Uint8Array; readonly statement: Uint8Array },
  invalid: (what: string, cause?: unknown) => Error,
): KeyObject => {
  if (spki.length > longest.key || signature.length > longest.signature)
    throw invalid(`the key or the signature is longer than ${longest.key} or ${longest.signature} bytes`);
  const key = publicKeyOf(spki, invalid);
  if (!verify('sha256', statement, key, signature))
    throw invalid('the signature is not of the holder of the public key');
  return key;
};

/**
 * True when the private key belongs to the certificate.
 * @throws where the key is no private one: a public key, or the certificate itself, cannot sign
 */
export const isPair = ({ certificate, key }: KeyPair): boolean =>
  new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));

/**
 * Common name of an authority that `issueAuthority` made.
 * @throws RangeError for another one
 */
export const authorityName = (certificate: string): string => {
  const { subject, publicKey, ca } = new X509Certificate(certificate);
  const name = /^CN=([\w .-]{1,64})$/.exec(subject)?.[1];
  if (name === undefined || !ca || publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new RangeError('it is not an authority with a common name alone and a key on the curve P-256');
  }
  return name;
};

/** When a certificate ends, as wall time in milliseconds. */
export const endOf = (certificate: string): number => Date.parse(new X509Certificate(certificate).validTo);
