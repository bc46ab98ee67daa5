import { createHash } from 'node:crypto';
import type { Digest, ObjectKey } from '../api/names.ts';
import type { Claim } from './claims.ts';
import type { Answer } from './http-client.ts';
import type { ImageReference } from './reference.ts';

/** How a runtime stands to a blob: it has it, it fetches it from the source, or it wants it and has not begun. */
export const peerStates = ['here', 'coming', 'wanted', 'none'] as const;
export type PeerState = (typeof peerStates)[number];

/** What a runtime says of a blob. `bytes`: those that it has. */
export type PeerWord = { readonly state: PeerState; readonly bytes: number };

/** It sends to others now. */
export class PeerBusy extends Error {}

/** Another runtime of the site, as it is asked for one claim. */
export type Peer = {
  readonly name: string;
  /** @throws REGISTRY_UNAVAILABLE, and the reason of the signal */
  look(blob: Digest, signal: AbortSignal): Promise<PeerWord>;
  /**
   * Asks for its bytes.
   * @throws PeerBusy, REGISTRY_UNAVAILABLE, and the reason of the signal
   */
  get(blob: Digest, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Answer>;
};

/** The runtimes of a site, for one claim. `self`: what this one is called among them. Dispose it when the fetch is over. */
export type PeerSite = Disposable & { readonly self: string; readonly peers: readonly Peer[] };

/** Whose artifact is fetched, and from where: `text` is how the plan says `image`. */
export type PeerQuestion = {
  readonly key: ObjectKey;
  readonly text: string;
  readonly claim: Claim;
  readonly image: ImageReference;
};

/** Undefined: there is nobody to ask now. Never throws, but the reason of the signal. */
export type FindPeers = (question: PeerQuestion, signal: AbortSignal) => Promise<PeerSite | undefined>;

/**
 * Who fetches a blob first: the same order for all who know the same names, and another one for each blob (rendezvous hashing,
 * Thaler and Ravishankar 1998). Who comes or goes moves nobody else.
 */
export const peerOrder = (what: string, names: readonly string[]): readonly string[] => {
  const hashes = new Map(names.map((name) => [name, hashOf(`${what}\n${name}`)]));
  const of = (name: string): string => hashes.get(name) ?? '';
  return names.toSorted((a, b) => (of(a) < of(b) ? -1 : of(a) > of(b) ? 1 : 0));
};

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');
