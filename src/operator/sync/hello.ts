import { isIP } from 'node:net';
import { z } from 'zod';
import { type Digest, isDigest, modelNameSchema, nameSchema, namespaceSchema } from '../../api/names.ts';
import { labelsSchema } from '../../api/selector.ts';
import { text } from '../../api/text.ts';
import { type Revision, revisionFromWire } from '../../control/revision.ts';
import type { HeldSaid } from '../../control/sender.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import {
  type Held,
  type Hello,
  Identity_Kind,
  type SyncRequest,
  type SyncResponse,
} from '../../gen/adaptlet/control/v1/control.ts';
import type { Clock } from '../../time/clock.ts';
import type { Claim } from '../identity/binding.ts';
import type { Channel } from './channel.ts';

/** The only protocol that is spoken. */
export const protocolVersion = 1;

/** How long a new stream may say nothing. */
const helloMs = 10_000;
/** Most resources that a runtime may hold. */
const maxHeld = 50_000;
/** More than this side keeps; it takes the newest of them. */
const maxNames = 10_000;
const maxKey = 400;
/** Bytes of a SHA-256. */
const hashBytes = 32;

/** A Hello whose parts are what they should be. */
export type ReadHello = {
  readonly claim: Claim;
  readonly instance: string;
  readonly connectionSeq: bigint;
  readonly version: string;
  readonly baseModel: string;
  readonly baseDigest: Digest | '';
  readonly executionProvider: string;
  readonly maxRank: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly clusterUid: string;
  /** '': it gives others no blobs. */
  readonly peerAddress: string;
  readonly revision: Revision;
  readonly held: HeldSaid;
  readonly subscriptions: readonly string[];
  /** Fields of policies beyond the first ones that it enforces. */
  readonly policyFields: ReadonlySet<string>;
};

/** Without what is held, which is long: a stream lasts for days. */
export type Introduced = Omit<ReadHello, 'held'>;

/** Names are looked up by nobody. */
const isPlace = (address: string): boolean => {
  const [, v6 = '', v4 = '', port] = /^(?:\[([\da-f:.]+)\]|([\d.]+)):(\d{1,5})$/i.exec(address) ?? [];
  return (isIP(v6) === 6 || isIP(v4) === 4) && Number(port) > 0 && Number(port) <= 65_535;
};

const parts = z.object({
  identity: z.object({
    namespace: namespaceSchema,
    name: nameSchema,
    kind: z.literal([Identity_Kind.NODE, Identity_Kind.POD]),
  }),
  instance: text(128).min(1),
  connectionSeq: z.bigint(),
  version: text(64),
  baseModel: modelNameSchema,
  baseDigest: text(71).refine((digest): digest is Digest | '' => digest === '' || isDigest(digest), {
    error: 'must be a digest, or empty',
  }),
  executionProvider: text(128),
  maxRank: z.int(),
  labels: labelsSchema,
  clusterUid: text(128),
  policyFields: z
    .array(text(64))
    .max(64)
    .transform((fields) => new Set(fields)),
  peerAddress: text(64).refine((address) => address === '' || isPlace(address), {
    error: 'must be an IP address and a port, or empty',
  }),
});

/**
 * The first message of a stream, which ends when there is none for too long.
 * @throws the reason of its signal
 */
export const firstOf = async (
  channel: Channel<SyncRequest, SyncResponse>,
  clock: Clock,
): Promise<SyncRequest | undefined> => {
  const stopTimer = clock.after(helloMs, () => {
    channel.end(
      new AdaptletError('HELLO_INVALID', `there was no Hello within ${helloMs} ms`, {
        advice: 'The runtime dials again by itself; check the network when this repeats.',
      }),
    );
  });
  try {
    return await channel.read();
  } finally {
    stopTimer();
  }
};

/**
 * Checks a Hello. Nothing in it is believed: the identity is bound to the token afterwards.
 * @throws HELLO_INVALID
 */
export const readHello = (hello: Hello): ReadHello => {
  const { protocol, subscriptions } = hello;
  if (protocol !== protocolVersion) {
    throw invalid(`the runtime speaks the protocol ${protocol}, this operator ${protocolVersion}`);
  }
  if (subscriptions.length > maxNames) {
    throw invalid(`the runtime asks for ${subscriptions.length} names, at most ${maxNames}`);
  }
  const read = parts.safeParse(hello);
  if (!read.success) throw invalid(problemsOf(read.error));
  const { identity, ...rest } = read.data;
  const { namespace, name, kind } = identity;
  return {
    ...rest,
    claim: { namespace, name, kind: kind === Identity_Kind.NODE ? 'Node' : 'Pod' },
    revision: revisionFromWire(hello.revision),
    held: heldSaid(hello),
    subscriptions,
  };
};

const heldSaid = ({ held, heldHash }: Hello): HeldSaid => {
  if (heldHash.length === 0) return readHeld(held);
  if (heldHash.length !== hashBytes || held.length > 0)
    throw invalid('what the runtime holds is said by a hash of 32 bytes or by a list');
  return { hash: heldHash };
};

/**
 * Versions by key, of what a runtime says that it holds.
 * @throws HELLO_INVALID
 */
export const readHeld = (held: readonly Held[]): ReadonlyMap<string, string> => {
  if (held.length > maxHeld) throw invalid(`the runtime holds ${held.length} resources, at most ${maxHeld}`);
  if (held.some(({ key, version }) => key.length > maxKey || version.length > 64)) {
    throw invalid('a key or a version of what the runtime holds is too long');
  }
  return new Map(held.map(({ key, version }) => [key, version]));
};

const problemsOf = ({ issues }: z.ZodError): string =>
  `the Hello is not valid: ${issues
    .slice(0, 3)
    .map(({ path, message }) => `${path.map(String).join('.').slice(0, 200)}: ${message}`)
    .join('; ')}`;

const invalid = (what: string): AdaptletError => new AdaptletError('HELLO_INVALID', what);
