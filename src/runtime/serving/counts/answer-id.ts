import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Digest } from '../../../api/names.ts';
import type { JudgedArm } from './split-counts.ts';

/** What the id of an answer of a rollout says: all that is needed to count feedback about it. */
export type AnswerFacts = {
  /** Of the process that answered; 16 hexadecimal digits, as are all names here. */
  readonly origin: string;
  /** Of the uid of the rollout. */
  readonly rollout: string;
  /** Of the canary and its attempt; 8 hexadecimal digits. */
  readonly trial: string;
  readonly arm: JudgedArm;
  readonly digest: Digest;
  /** Of the answer: one number is used once. */
  readonly number: number;
  /** Absent: the canary had no requests there, and feedback counts nowhere. */
  readonly counted?: { readonly weight: number; readonly bucket: number };
};

/** Of the form, as the first byte; ids that begin with another one are not ours. */
const version = 1;
const macBytes = 16;
const bodyBytes = 60;
/** Where each part begins. */
const at = { origin: 1, rollout: 9, trial: 17, flags: 21, weight: 22, bucket: 23, number: 24, digest: 28 };
const flags = { canary: 1, counted: 2 } as const;

/** Characters of every id: letters, digits, `-` and `_`. */
export const idLength = Math.ceil(((bodyBytes + macBytes) * 4) / 3);

/** Text of one value only: others that decode to the same bytes are no ids. */
const isId = (id: string): boolean => id.length === idLength && /^[A-Za-z0-9_-]+$/.test(id);

/** A number of an answer is kept in 32 bits. */
export const maxNumber = 2 ** 32 - 1;

export const answerId = (facts: AnswerFacts, key: Uint8Array): string => {
  const { origin, rollout, trial, arm, digest, number, counted } = facts;
  const body = Buffer.alloc(bodyBytes);
  body[0] = version;
  body.write(origin, at.origin, 'hex');
  body.write(rollout, at.rollout, 'hex');
  body.write(trial, at.trial, 'hex');
  body[at.flags] = (arm === 'canary' ? flags.canary : 0) | (counted === undefined ? 0 : flags.counted);
  body[at.weight] = counted?.weight ?? 0;
  body[at.bucket] = counted?.bucket ?? 0;
  body.writeUInt32BE(number, at.number);
  body.write(digest.slice('sha256:'.length), at.digest, 'hex');
  return Buffer.concat([body, macOf(body, key)]).toString('base64url');
};

/**
 * What an id says. Undefined: no key signed it. `keysOf` has those that may have signed for a rollout; undefined: it is not
 * known.
 */
export const readAnswerId = (
  id: string,
  keysOf: (rollout: string) => readonly Uint8Array[] | undefined,
): AnswerFacts | undefined => {
  if (!isId(id)) return undefined;
  const all = Buffer.from(id, 'base64url');
  const [body, mac] = [all.subarray(0, bodyBytes), all.subarray(bodyBytes)];
  if (mac.length !== macBytes || body[0] !== version || all.toString('base64url') !== id) return undefined;
  const hex = (from: number, to: number): string => body.toString('hex', from, to);
  const rollout = hex(at.rollout, at.trial);
  if (keysOf(rollout)?.some((key) => timingSafeEqual(mac, macOf(body, key))) !== true) return undefined;
  const set = body[at.flags] ?? 0;
  return {
    origin: hex(at.origin, at.rollout),
    rollout,
    trial: hex(at.trial, at.flags),
    arm: (set & flags.canary) === 0 ? 'stable' : 'canary',
    digest: `sha256:${hex(at.digest, bodyBytes)}` as Digest,
    number: body.readUInt32BE(at.number),
    ...((set & flags.counted) === 0
      ? {}
      : { counted: { weight: body[at.weight] ?? 0, bucket: body[at.bucket] ?? 0 } }),
  };
};

const macOf = (body: Uint8Array, key: Uint8Array): Buffer =>
  createHmac('sha256', key).update(body).digest().subarray(0, macBytes);
