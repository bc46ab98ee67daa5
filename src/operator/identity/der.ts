import { Buffer } from 'node:buffer';

/**
 * Writes DER (ITU-T X.690), as much of it as a certificate needs. Nothing here reads DER: certificates are read by
 * OpenSSL, through node:crypto and node:tls.
 */
const element = (tag: number, content: Uint8Array): Buffer => {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const octets = bytesOf(BigInt(length));
  return Buffer.concat([Buffer.from([tag, 0x80 | octets.length]), octets, content]);
};

/** Big-endian, without leading zeros. */
const bytesOf = (value: bigint): Buffer => {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
};

export const sequence = (...items: readonly Uint8Array[]): Buffer => element(0x30, Buffer.concat(items));
export const set = (...items: readonly Uint8Array[]): Buffer => element(0x31, Buffer.concat(items));
export const boolean = (value: boolean): Buffer => element(0x01, Buffer.from([value ? 0xff : 0]));
export const octets = (content: Uint8Array): Buffer => element(0x04, content);
export const utf8 = (text: string): Buffer => element(0x0c, Buffer.from(text, 'utf8'));

/** An integer that is not negative. */
export const integer = (value: bigint): Buffer => {
  const octetsOfValue = bytesOf(value);
  // The first bit is the sign.
  const positive = (octetsOfValue[0] ?? 0) < 0x80;
  return element(0x02, positive ? octetsOfValue : Buffer.concat([Buffer.from([0]), octetsOfValue]));
};

export const bits = (content: Uint8Array, unused = 0): Buffer =>
  element(0x03, Buffer.concat([Buffer.from([unused]), content]));

/** A member of a CHOICE or an OPTIONAL with a number of its own; `constructed` when it wraps elements. */
export const tagged = (number: number, content: Uint8Array, constructed: boolean): Buffer =>
  element((constructed ? 0xa0 : 0x80) | number, content);

/** An object identifier, as `1.2.840.10045.2.1`. */
export const oid = (dotted: string): Buffer => {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return element(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
};

const base128 = (arc: number): number[] => {
  const digits = [arc % 128];
  for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
    digits.unshift(0x80 | (left % 128));
  }
  return digits;
};

/** Whole seconds. UTCTime before 2050, GeneralizedTime from then on (RFC 5280, 4.1.2.5). */
export const time = (ms: number): Buffer => {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14);
  return new Date(ms).getUTCFullYear() < 2050
    ? element(0x17, Buffer.from(`${digits.slice(2)}Z`, 'ascii'))
    : element(0x18, Buffer.from(`${digits}Z`, 'ascii'));
};
