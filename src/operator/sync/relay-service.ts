import type { ServerDuplexStream } from '@grpc/grpc-js';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { RelayRequest, RelayResponse } from '../../gen/adaptlet/control/v1/control.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import { RelayedRuntimes } from '../fleet/relay-server.ts';
import type { FleetStore } from '../fleet/store.ts';
import { replicaOf } from '../identity/credentials.ts';
import { Channel } from './channel.ts';

export type RelayParts = {
  readonly fleet: FleetStore;
  readonly isLeader: () => boolean;
  readonly clock: Clock;
  readonly logger: Log;
};

/** How often replicas are told how many streams each would have. */
const tellMs = 10_000;

type RelayChannel = Channel<RelayRequest, RelayResponse>;

/** The leader's side of the relays of all other replicas: one stream of each counts, the newest. */
export class RelayService {
  readonly #parts: RelayParts;
  readonly #channels = new Map<string, RelayChannel>();
  readonly #relayed = new Set<RelayedRuntimes>();

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#channels.size;
  }

  /** Streams that each replica would have if all had the same: of this one, and of those that relay. */
  get share(): number {
    let connected = 0;
    for (const runtime of this.#parts.fleet.all()) if (runtime.connected) connected += 1;
    return Math.ceil(connected / (this.#channels.size + 1));
  }

  /** For how many milliseconds each runtime of other replicas has lacked something of its plan, as these told last. */
  *planAges(): ReturnType<RelayedRuntimes['planAges']> {
    for (const relayed of this.#relayed) yield* relayed.planAges();
  }

  /** This replica may lead, or not lead any more. */
  leadershipChanged(): void {
    if (this.#parts.isLeader()) return;
    for (const channel of this.#channels.values()) void this.#refuse(channel);
  }

  /** This replica is going. */
  close(): void {
    for (const channel of this.#channels.values()) {
      channel.end(new AdaptletError('REPLICA_UNAVAILABLE', 'this replica is going'));
    }
  }

  /** Serves until the stream is over. Never throws. */
  async run(call: ServerDuplexStream<RelayRequest, RelayResponse>): Promise<void> {
    const { fleet, clock, logger } = this.#parts;
    const channel: RelayChannel = new Channel(call, clock);
    const replica = replicaOf(call.getAuthContext().sslPeerCertificate);
    if (replica === undefined) {
      channel.end(
        new AdaptletError('PEER_IDENTITY', 'only replicas of the operator relay, with their certificate', {
          advice: 'It ends within a minute, when both replicas have read the Secret of the authority.',
        }),
      );
      return;
    }
    const source = { name: `${replica} (relay)` };
    const runtimes = new RelayedRuntimes(fleet, source);
    let stopTelling: (() => void) | undefined;
    try {
      if (!this.#parts.isLeader()) {
        await this.#refuse(channel);
        return;
      }
      this.#channels.get(replica)?.end(
        new AdaptletError('CONNECTION_REPLACED', `a newer relay of ${replica} came`, {
          advice: 'Nothing to do.',
        }),
      );
      this.#channels.set(replica, channel);
      this.#relayed.add(runtimes);
      logger.info({ replica }, 'a replica relays its runtimes');
      // The other side knows by this that the stream works.
      await channel.write({ notLeader: false, share: 0, readsExamples: true });
      stopTelling = this.#tell(channel);
      await channel.each((request) => runtimes.take(request));
      channel.end();
    } catch (error) {
      const failure = asAdaptletError(error, 'taking in a relay');
      logger.info({ replica, err: failure }, 'a relay ended');
      channel.end(failure);
    } finally {
      stopTelling?.();
      runtimes.close();
      this.#relayed.delete(runtimes);
      if (this.#channels.get(replica) === channel) this.#channels.delete(replica);
    }
  }

  /** Tells the share again and again, where it is another one. The result ends it. */
  #tell(channel: RelayChannel): () => void {
    const { clock, logger } = this.#parts;
    let told = 0;
    const tell = async (): Promise<void> => {
      const { share } = this;
      if (share !== told) await channel.write({ notLeader: false, share, readsExamples: true });
      told = share;
      wait();
    };
    let stop: (() => void) | undefined;
    const wait = (): void => {
      stop = clock.after(tellMs, () => {
        tell().catch((error: unknown) =>
          logger.debug({ err: error }, 'a relay ended before it was told its share'),
        );
      });
    };
    wait();
    return () => stop?.();
  }

  async #refuse(channel: RelayChannel): Promise<void> {
    try {
      await channel.write({ notLeader: true, share: 0, readsExamples: true });
    } catch (error) {
      this.#parts.logger.debug(
        { err: error },
        'a relay went away before it was told that this replica does not lead',
      );
    }
    channel.end();
  }
}
