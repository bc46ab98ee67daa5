import { z } from 'zod';
import { type Digest, isDigest, modelNameSchema, nameSchema, namespaceSchema } from '../../api/names.ts';
import { labelsSchema } from '../../api/selector.ts';
import { text } from '../../api/text.ts';
import { type Revision, revisionFromWire } from '../../control/revision.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { type Hello, Identity_Kind } from '../../gen/adaptlet/control/v1/control.ts';
import type { Claim } from '../identity/binding.ts';

/** The only protocol that is spoken. */
export const protocolVersion = 1;

/** Most resources that a runtime may hold. */
const maxHeld = 50_000;
/** More than this side keeps; it takes the newest of them. */
const maxNames = 10_000;
const maxKey = 400;

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
  readonly revision: Revision;
  readonly held: ReadonlyMap<string, string>;
  readonly subscriptions: readonly string[];
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
});

/**
 * Checks a Hello. Nothing in it is believed: the identity is bound to the token afterwards.
 * @throws HELLO_INVALID
 */
export const readHello = (hello: Hello): ReadHello => {
  const { protocol, held, subscriptions } = hello;
  if (protocol !== protocolVersion) {
    throw invalid(`the runtime speaks the protocol ${protocol}, this operator ${protocolVersion}`);
  }
  if (held.length > maxHeld) throw invalid(`the runtime holds ${held.length} resources, at most ${maxHeld}`);
  if (subscriptions.length > maxNames) {
    throw invalid(`the runtime asks for ${subscriptions.length} names, at most ${maxNames}`);
  }
  if (held.some(({ key, version }) => key.length > maxKey || version.length > 64)) {
    throw invalid('a key or a version of what the runtime holds is too long');
  }
  const read = parts.safeParse(hello);
  if (!read.success) throw invalid(problemsOf(read.error));
  const { identity, ...rest } = read.data;
  const { namespace, name, kind } = identity;
  return {
    ...rest,
    claim: { namespace, name, kind: kind === Identity_Kind.NODE ? 'Node' : 'Pod' },
    revision: revisionFromWire(hello.revision),
    held: new Map(held.map(({ key, version }) => [key, version])),
    subscriptions,
  };
};

const problemsOf = ({ issues }: z.ZodError): string =>
  `the Hello is not valid: ${issues
    .slice(0, 3)
    .map(({ path, message }) => `${path.map(String).join('.').slice(0, 200)}: ${message}`)
    .join('; ')}`;

const invalid = (what: string): AdaptletError => new AdaptletError('HELLO_INVALID', what);
