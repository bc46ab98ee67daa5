import { imageSource } from '../../artifact/claims.ts';
import { parseReference } from '../../artifact/reference.ts';
import { namespaceOf } from '../../control/key.ts';
import { grantUri, peerUri } from '../../control/peer-names.ts';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import { Peers, type PeersRequest, type SyncResponse } from '../../gen/adaptlet/control/v1/control.ts';
import { ociSourceOf } from '../../plan/oci-source.ts';
import type { Plan } from '../../plan/resources.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { Authority } from '../identity/authority.ts';
import type { BoundRuntime } from '../identity/binding.ts';
import { publicKeyOf } from '../identity/certificate.ts';
import { Answers } from './answers.ts';
import type { Channel } from './channel.ts';
import type { Sites } from './sites.ts';

type Parts = {
  readonly channel: Channel<unknown, SyncResponse>;
  readonly clock: Clock;
  readonly authority: Pick<Authority, 'certify'>;
  readonly sites: Sites;
  /** Undefined: there is none now. */
  readonly plan: () => Plan | undefined;
  readonly runtime: BoundRuntime;
  readonly logger: Log;
};

/** Longest public key, in bytes. */
const maxKey = 256;

/** Milliseconds for which certificates hold: to answer others, and to ask them for the blobs of one adapter. */
const lifetimesMs = { answer: 86_400_000, ask: 3_600_000 };

/**
 * Certificates by which runtimes of nodes give each other blobs.
 *
 * Guarantee: a runtime gets one to ask with only for what its plan has, for the namespace of that Adapter and the repository of its
 * source, and for its own site, which its labels say and not it.
 */
export class PeerAnswers {
  readonly #parts: Parts;
  readonly #answers: Answers;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#answers = new Answers({ ...parts, refusal: refused });
  }

  /** Resolves when the next question may be read. Never throws. */
  async answer(request: PeersRequest): Promise<void> {
    const { logger, runtime } = this.#parts;
    const unknown = { ...Peers.create(), id: request.id };
    await this.#answers.give(
      async () => ({ $case: 'peers', value: { ...unknown, ...this.#find(request) } }),
      (error) => {
        const { code, what } = asAdaptletError(error, 'certifying a runtime');
        const reason = what.slice(0, 400);
        const keys = { runtime: runtime.key, key: request.key.slice(0, 400), code, reason };
        logger.debug(keys, 'a runtime is told of no peers');
        return { $case: 'peers', value: { ...unknown, reason: what } };
      },
    );
  }

  #find({ key, image, publicKey: spki }: PeersRequest): Omit<Peers, 'id' | 'reason'> {
    const { authority, sites, runtime } = this.#parts;
    if (runtime.kind !== 'Node' || runtime.device !== undefined)
      throw refused('only the runtimes of Nodes of the cluster share blobs');
    const site = sites.siteOf(runtime.key);
    if (site === undefined) throw refused('its AdapterRuntime has no label that says its site');
    if (spki.length > maxKey) throw refused(`the public key is longer than ${maxKey} bytes`);
    const publicKey = publicKeyOf(spki, (what) => refused(what));
    const name = { site, runtime: runtime.key };
    if (key === '') {
      const lifetimeMs = lifetimesMs.answer;
      const certificate = authority.certify('answer', { uri: peerUri(name), publicKey, lifetimeMs });
      return { certificate, lifetimeMs: BigInt(lifetimeMs), site, peers: [] };
    }
    const now = this.#parts.plan();
    const source = now && ociSourceOf(now, key);
    if (source === undefined || source.image !== image)
      throw refused('the plan of the runtime has no such source from there');
    const claim = { namespace: namespaceOf(key), source: imageSource(parseReference(image)) };
    const lifetimeMs = lifetimesMs.ask;
    const certificate = authority.certify('ask', {
      uri: grantUri({ ...name, ...claim }),
      publicKey,
      lifetimeMs,
    });
    const peers = [...sites.peersOf(runtime.key, site, image)];
    return { certificate, lifetimeMs: BigInt(lifetimeMs), site, peers };
  }
}

const refused = (what: string): AdaptletError => new AdaptletError('PEERS_UNKNOWN', what);
