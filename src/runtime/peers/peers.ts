import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import type { Digest } from '../../api/names.ts';
import { PeerDesk } from '../../artifact/peer-desk.ts';
import type { FindPeers, PeerQuestion, PeerSite } from '../../artifact/peer-site.ts';
import { asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { Peers } from '../../gen/adaptlet/control/v1/control.ts';
import type { Log } from '../../telemetry/log.ts';
import { Bandwidth, type BandwidthPlan } from '../../time/bandwidth.ts';
import type { Clock } from '../../time/clock.ts';
import { connectPeer } from './client.ts';
import type { PeerHoldings } from './holdings.ts';
import { OperatorQuestions, type PeerQuestions } from './questions.ts';
import { Renewal } from './renewal.ts';
import { type PeerCredential, PeerServer } from './server.ts';
import { PeerTally } from './tally.ts';

export type SitePeersOptions = {
  /** `host:port`, port 0 for any free one. */
  readonly listen: string;
  /** IP address by which the others reach that. */
  readonly host: string;
  /** namespace/name of its own AdapterRuntime. */
  readonly self: string;
  /** PEM file with the authorities of the operator, read with each certificate. */
  readonly authorities: string;
  readonly bandwidth: BandwidthPlan;
  readonly clock: Clock;
  readonly log: Log;
};

/** Answers for adapters that are kept for when the operator cannot be reached. */
const mostKept = 256;
/** Milliseconds until the operator is asked again that gave no certificate. */
const retryMs = 300_000;

const never = new AbortController().signal;

/**
 * This runtime among those of its site: what it shows them, what it may ask them, and who they are.
 *
 * Guarantees: the private key is in the memory of this process alone; without an operator the answers that it gave last are used until
 * their certificates are over.
 */
export class SitePeers implements AsyncDisposable {
  readonly desk = new PeerDesk();
  readonly tally = new PeerTally();
  readonly questions: PeerQuestions;
  /** What this node may give. Set once there is a disk. */
  holdings: PeerHoldings | undefined;
  /** What this node has under a tag. Set once there is a plan. */
  tagged: (namespace: string, source: string, tag: string) => Digest | undefined = () => undefined;
  readonly #options: SitePeersOptions;
  readonly #pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  readonly #kept = new Map<string, { readonly answer: Peers; readonly until: number }>();
  #server: PeerServer | undefined;
  /** Of the certificate to answer with. */
  #site = '';
  readonly #renewal: Renewal;
  #isClosed = false;

  /** @throws CONFIG_INVALID when the address cannot be listened on */
  static async listen(options: SitePeersOptions): Promise<SitePeers> {
    const peers = new SitePeers(options);
    const { listen, bandwidth, clock, log } = options;
    peers.#server = await PeerServer.listen(listen, {
      desk: peers.desk,
      holdings: () => peers.holdings,
      tagged: (namespace, source, tag) => peers.tagged(namespace, source, tag),
      bandwidth: new Bandwidth(bandwidth, clock),
      sent: (bytes) => peers.tally.sent(bytes),
      clock,
      log,
    });
    return peers;
  }

  private constructor(options: SitePeersOptions) {
    this.#options = options;
    const { clock, log } = options;
    this.questions = new OperatorQuestions(clock, 'PEERS_UNKNOWN');
    this.#renewal = new Renewal({
      clock,
      isConnected: () => this.questions.isConnected,
      renew: () => this.#certify(),
      failed: (error) => {
        const err = asAdaptletError(error, 'getting a certificate for other runtimes');
        log.warn({ err }, 'other runtimes of the site get no blobs here');
      },
      retryMs,
    });
    this.questions.onConnected(() => this.#renewal.begin());
  }

  /** Settles once the operator has answered what was asked last about a certificate to answer with. */
  get certified(): Promise<void> {
    return this.#renewal.begun;
  }

  /** Where the others of the site reach it. */
  get address(): string {
    const { host } = this.#options;
    return `${isIPv6(host) ? `[${host}]` : host}:${this.#server?.port ?? 0}`;
  }

  readonly find: FindPeers = async (question, signal) => {
    try {
      const answer = await this.#answerTo(question, signal);
      return answer === undefined
        ? undefined
        : this.#siteOf(answer, await this.#credentialOf(answer), question);
    } catch (error) {
      signal.throwIfAborted();
      const err = asAdaptletError(error, 'asking for the runtimes of the site');
      this.#options.log.debug({ err, key: question.key }, 'no other runtime is asked; the source is');
      return undefined;
    }
  };

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#renewal.close();
    await this.#server?.close();
  }

  /** What the operator says now, or said last while its certificate holds. */
  async #answerTo({ key, text: image }: PeerQuestion, signal: AbortSignal): Promise<Peers | undefined> {
    const { clock } = this.#options;
    const about = `${key}\n${image}`;
    await this.certified;
    // It knows no site for this runtime, or is of a version that knows of none.
    if (this.#site === '') return undefined;
    try {
      const answer = await this.questions.ask({ key, image, publicKey: this.#publicKey() }, signal);
      // Its Node has another label by now.
      if (answer.site !== this.#site) this.#renewal.begin();
      this.#kept.delete(about);
      this.#kept.set(about, { answer, until: clock.monotonic() + Number(answer.lifetimeMs) });
      for (const oldest of this.#kept.keys()) {
        if (this.#kept.size <= mostKept) break;
        this.#kept.delete(oldest);
      }
      return answer;
    } catch (error) {
      signal.throwIfAborted();
      const kept = this.#kept.get(about);
      if (kept !== undefined && clock.monotonic() < kept.until) return kept.answer;
      throw error;
    }
  }

  #siteOf({ peers }: Peers, credential: PeerCredential, question: PeerQuestion): PeerSite {
    const { clock, self } = this.#options;
    const connections = peers
      .filter(({ runtime }) => runtime !== self)
      .map(({ runtime: name, address }) => connectPeer({ name, address, credential, question, clock }));
    return {
      self,
      peers: connections,
      [Symbol.dispose]: () => {
        for (const connection of connections) connection[Symbol.dispose]();
      },
    };
  }

  /** Gets a certificate to answer with. Resolves to the milliseconds until the next one. */
  async #certify(): Promise<number> {
    const answer = await this.questions.ask({ key: '', image: '', publicKey: this.#publicKey() }, never);
    this.#server?.show(await this.#credentialOf(answer));
    this.#site = answer.site;
    this.#options.log.debug({ site: answer.site }, 'other runtimes of the site get blobs here');
    return (Number(answer.lifetimeMs) * 2) / 3;
  }

  async #credentialOf({ certificate, site }: Peers): Promise<PeerCredential> {
    const key = String(this.#pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
    return { certificate, key, site, authorities: await readFile(this.#options.authorities, 'utf8') };
  }

  #publicKey(): Buffer {
    return this.#pair.publicKey.export({ type: 'spki', format: 'der' });
  }
}
