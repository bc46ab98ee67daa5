import { readyTypes } from '../../api/condition.ts';
import { placementReasons } from '../../rollout/reasons.ts';

/** Types of the conditions of an Adapter, with what each one means. */
export const conditionTypes = {
  Accepted: 'The spec is valid and clients can call the Adapter by its name.',
  Resolved: 'The digest of the artifact is known, and fixed from then on.',
  SignatureVerified:
    'The artifact is signed as the policy of the namespace and the spec ask. Only where they do.',
  InUse: 'A rollout uses the Adapter: its object is kept.',
  Schedulable: 'Runtimes can hold the Adapter.',
  Compatible: 'The Adapter fits the base model that runtimes have.',
  ...readyTypes,
  Ready: 'It is where it should be; on demand: nothing is known that keeps it from serving.',
} as const;
export type ConditionType = keyof typeof conditionTypes;

/** Reasons of the conditions of an Adapter, with what each one means. */
export const conditionReasons = {
  ...placementReasons,
  Accepted: 'The spec is valid and the name is its own.',
  NameConflict: 'The name belongs to an older object or to a base model.',
  InvalidSpec: 'The spec is not valid; the message says which fields.',
  SourceNotAllowed: 'The policy of the namespace does not allow the source: it is in no plan.',
  TooManyAdapters: 'The namespace has more Adapters than its policy lets count: it is in no plan.',
  PolicyInvalid:
    'The policy of the namespace is not valid: what is in plans stays, and nothing new is begun.',
  Pinned: 'The spec names the digest.',
  TagResolved: 'The tag was resolved once; a tag that moves changes nothing.',
  Resolving: 'The registry is being asked for the digest of the tag.',
  ResolveFailed: 'The registry did not give a digest; it is asked again.',
  NotAsked: 'The registry is not asked: Accepted says why.',
  DigestRequired: 'A path source needs spec.digest in a cluster.',
  SignatureVerified: 'Who had to sign it has signed it.',
  Verifying: 'The registry is being asked for signatures.',
  NotVerified: 'The registry did not give signatures; it is asked again.',
  SignatureMissing: 'It has to be signed, and is not.',
  SignatureInvalid: 'A signature does not fit what it signs.',
  SignatureUntrusted: 'It is signed by no key and no identity that is trusted.',
  SignatureExpired: 'The certificate of the signature was not valid when it was made.',
  SignatureWrongSubject: 'The signature is for another artifact.',
  SignatureWrongPredicate: 'What is signed is another statement, such as an attestation.',
  SignatureForm: 'The signature is of a form that is not taken.',
  SignatureTooMany: 'There are more referrers than are read, and none of those is a signature.',
  Referenced: 'The rollouts that the message names use it.',
  NotReferenced: 'No rollout uses it: it may be deleted.',
  NoRuntime: 'No runtime with its base model is connected.',
  OtherBuild: 'Runtimes have a build of the base model that spec.baseModelDigests does not list.',
  Refused: 'A runtime found that it does not fit the base model.',
  Validated: 'A runtime has loaded and validated it.',
  NotTried: 'No runtime has loaded it yet.',
  OnDemand: 'Nothing asks for it ahead of requests, and nothing is known against it.',
  EverywhereReady: 'Every runtime that should hold it does.',
  NotEverywhere: 'Not every runtime that should hold it does yet.',
  Failed: 'A runtime refused it or could not get it.',
  NotResolved: 'Its digest is not known.',
} as const;
export type ConditionReason = keyof typeof conditionReasons;

/** Reasons of the events of an Adapter, with what each one means. */
export const eventReasons = {
  TagResolved: 'The digest of the tag is known, and fixed from now on.',
  ResolveFailed: 'The registry did not give a digest.',
  DigestRequired: 'A path source needs spec.digest in a cluster.',
  NameConflict: 'The name belongs to an older object or to a base model.',
  InvalidSpec: 'The spec is not valid, or the status cannot be read.',
  SourceNotAllowed: 'The policy of the namespace does not allow the source.',
  TooManyAdapters: 'The namespace has more Adapters than its policy lets count.',
  PolicyInvalid: 'The policy of the namespace is not valid.',
  SignatureMissing: 'It has to be signed, and is not.',
  SignatureInvalid: 'A signature does not fit what it signs.',
  SignatureUntrusted: 'It is signed by no key and no identity that is trusted.',
  SignatureExpired: 'The certificate of the signature was not valid when it was made.',
  SignatureWrongSubject: 'The signature is for another artifact.',
  SignatureWrongPredicate: 'What is signed is another statement, such as an attestation.',
  SignatureForm: 'The signature is of a form that is not taken.',
  SignatureTooMany: 'There are more referrers than are read, and none of those is a signature.',
  Failed: 'A runtime refused it or could not get it.',
  Kept: 'The object is being deleted and is kept while rollouts use it.',
} as const;
export type EventReason = keyof typeof eventReasons;
