import { createHash } from 'node:crypto';
import type { Signatures, Signers } from '../api/signatures.ts';

/** One of those that ask for a signature. `where`: for people. */
export type Demand = { readonly where: string; readonly signers: Signers };

/** What an artifact has to be signed by: each demand is met by one of its signers. */
export type Requirement = {
  /** Equal version, equal meaning. */
  readonly version: string;
  readonly demands: readonly Demand[];
};

type PolicyDemand = {
  /** namespace/name, for people. */
  readonly name: string;
  readonly signatures: Signatures;
};

const versions = new WeakMap<Signers, string>();

const versionOf = (signers: Signers): string => {
  const known = versions.get(signers);
  if (known !== undefined) return known;
  const { keys, identities, trustRoot } = signers;
  const meaning = JSON.stringify([
    keys.map(({ name, publicKey }) => [name, publicKey]),
    identities.map(({ name, issuer, subject }) => [name, issuer, subject]),
    trustRoot,
  ]);
  // Each adapter remembers one, and a trust root is long.
  const version = createHash('sha256').update(meaning).digest('hex');
  versions.set(signers, version);
  return version;
};

/**
 * What has to be there for an adapter; undefined: nothing. An Adapter can only ask for more than its policy does.
 *
 * @param policy the one that holds for its namespace, whether it refuses what is not signed or only tells of it
 * @param own of its spec
 */
export const requirementOf = (
  policy: PolicyDemand | undefined,
  own: Signers | undefined,
): Requirement | undefined => {
  const demands: Demand[] = [];
  if (policy !== undefined) demands.push({ where: `the policy ${policy.name}`, signers: policy.signatures });
  if (own !== undefined) demands.push({ where: 'its spec.signatures', signers: own });
  if (demands.length === 0) return undefined;
  return {
    version: demands.map(({ where, signers }) => `${where} ${versionOf(signers)}`).join('\n'),
    demands,
  };
};
