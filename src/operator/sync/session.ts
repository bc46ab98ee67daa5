import { isDeepStrictEqual } from 'node:util';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { ObjectKey } from '../../api/names.ts';
import type { HeldVersions } from '../../control/held-versions.ts';
import type { HeldSaid } from '../../control/sender.ts';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { SyncRequest, SyncResponse, Welcome } from '../../gen/adaptlet/control/v1/control.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { Log } from '../../telemetry/log.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import { hasCanary } from '../fleet/has-canary.ts';
import { type FleetStore, local } from '../fleet/store.ts';
import type { Authority } from '../identity/authority.ts';
import type { BoundRuntime, Claim } from '../identity/binding.ts';
import type { Nodes } from '../nodes/nodes.ts';
import type { Objects } from '../objects/objects.ts';
import type { Policies } from '../objects/policies.ts';
import type { Following, Plans } from '../plans/plans.ts';
import type { RemovalGate } from '../plans/removal-gate.ts';
import type { Movable } from './balance.ts';
import { Channel } from './channel.ts';
import type { Connections, Stream } from './connections.ts';
import type { SyncCounts } from './counts.ts';
import { Delivery } from './delivery.ts';
import { assertAllowed, enrol } from './enrolment.ts';
import type { Examples } from './examples.ts';
import { feedbackKeysFor } from './feedback-keys.ts';
import { firstOf, type Introduced, readHello } from './hello.ts';
import { Pace } from './pace.ts';
import type { CredentialFor } from './pull-answers.ts';
import { Questions } from './questions.ts';
import { Reporting } from './reporting.ts';
import { SentPlan } from './sent-plan.ts';
import type { ServingNamesOf } from './serving-answers.ts';
import type { Sites } from './sites.ts';
import type { Turns } from './turns.ts';

/** On an AdapterRuntime: the fingerprint of removals that a person confirms. */
export const confirmAnnotation = 'adaptlet.io/confirm-removals';

const retryDelays = { firstMs: 1_000, maxMs: 60_000 };
/** An AdapterRuntime that was not deleted for so long is no longer one that is deleted again and again. */
const calmMs = 180_000;

export type SessionParts = {
  readonly api: KubeApi;
  readonly objects: Objects;
  readonly policies: Policies;
  readonly nodes: Nodes;
  readonly fleet: FleetStore;
  readonly plans: Plans;
  readonly gate: RemovalGate;
  readonly connections: Connections;
  /** Who is greeted now: with its AdapterRuntime and its plan. */
  readonly greetings: Turns;
  readonly examples: Examples;
  readonly clusterUid: () => Promise<string>;
  readonly credential: CredentialFor;
  readonly authority: Pick<Authority, 'certify' | 'certifyServing' | 'feedbackRoots'>;
  readonly sites: Sites;
  readonly servingNames: ServingNamesOf;
  readonly replica: string;
  readonly counts: SyncCounts;
  readonly clock: Clock;
  readonly logger: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
};

/**
 * Who dials, by what it shows before anything is read; then whether it is what it claims to be.
 * @throws RUNTIME_UNAUTHENTICATED, PEER_IDENTITY and the like
 */
export type Identify = (signal: AbortSignal) => Promise<(claim: Claim) => BoundRuntime>;

type Served = {
  readonly reporting: Reporting;
  readonly delivery: Delivery;
  readonly following: Following;
  readonly sent: SentPlan;
};

/** The stream of one runtime, from its token or certificate to its end. */
export class Session implements Stream, Movable {
  readonly #parts: SessionParts;
  readonly #channel: Channel<SyncRequest, SyncResponse>;
  readonly #identify: Identify;
  #delivery: Delivery | undefined;
  /** Stops the wait for the next try to write the AdapterRuntime anew. */
  #again: (() => void) | undefined;
  #enrol: (() => Promise<void>) | undefined;
  /** Of the Hello, before there is a delivery. */
  #said: HeldSaid = new Map();
  /** What the runtime held when its stream before this one ended; undefined: nobody knows. */
  #former: HeldVersions | undefined;
  /** Undefined before it has proved who it is. */
  #runtime: BoundRuntime | undefined;
  /** The AdapterRuntime was written, and is not written by the Node as it is now. */
  #isEnrolled = false;
  /** What it has to sign ids of answers; undefined before its Welcome. */
  #feedbackKeys: Welcome['feedbackKeys'] | undefined;
  #nodeChanged = false;
  #endTurn = (): void => undefined;
  /** Deletions of its AdapterRuntime in a row, and when the last one was. */
  #deletions = 0;
  #deletedAt = Number.NEGATIVE_INFINITY;

  constructor(call: ServerDuplexStream<SyncRequest, SyncResponse>, parts: SessionParts, identify: Identify) {
    this.#parts = parts;
    this.#channel = new Channel(call, parts.clock, new Pace(parts.clock));
    this.#identify = identify;
  }

  end(error: AdaptletError): void {
    if (error.code === 'CONNECTION_REPLACED') this.#parts.counts.replaced += 1;
    this.#channel.end(error);
  }

  /** Undefined before it has its Welcome. */
  get key(): ObjectKey | undefined {
    return this.#delivery === undefined ? undefined : this.#runtime?.key;
  }

  /** What the runtime holds, as far as that is known. */
  get held(): HeldVersions | undefined {
    return this.#delivery?.held ?? this.#former;
  }

  /** Ends the stream in order, between two commits: the runtime dials anew at once, and is never shown as away. */
  move(): boolean {
    if (this.#delivery?.isIdle !== true) return false;
    this.#channel.end();
    return true;
  }

  /** What this replica sees moved on. */
  progressed(): void {
    this.#delivery?.resume();
  }

  /** Ends the stream of a pod whose namespace may no longer have runtimes. */
  policiesChanged(isBound: (namespace: string) => boolean): void {
    if (this.#runtime === undefined || !isBound(this.#runtime.namespace)) return;
    try {
      assertAllowed(this.#runtime, this.#parts.policies);
    } catch (error) {
      this.end(asAdaptletError(error, 'looking at the policy of a runtime'));
    }
  }

  /** Something about the plan may be other than before, also that keys may be removed. */
  changed(): void {
    this.#delivery?.look();
  }

  /**
   * Its AdapterRuntime is gone, and the runtime is here: it gets another one; ever later when that is deleted as well,
   * as the garbage collector does while the Node or Pod that owns it does not exist.
   */
  vanished(): void {
    this.deviceChanged();
    if (this.#again !== undefined || this.#channel.signal.aborted) return;
    const { clock, random } = this.#parts;
    const now = clock.monotonic();
    this.#deletions = now - this.#deletedAt > calmMs ? 0 : this.#deletions + 1;
    this.#deletedAt = now;
    if (this.#deletions === 0) void this.#enrolAgain(1);
    else
      this.#again = clock.after(
        backoffMs(this.#deletions, random, retryDelays),
        () => void this.#enrolAgain(1),
      );
  }

  /** Ends the stream of a device that may no longer be here. */
  deviceChanged(): void {
    const refusal = this.#runtime?.device?.refusal();
    if (refusal !== undefined) this.end(refusal);
  }

  /** The runtime gets the next key before another one signs with it: its stream may be older than the authority. */
  authorityChanged(): void {
    if (this.#runtime === undefined || this.#feedbackKeys === undefined) return;
    const keys = feedbackKeysFor(this.#runtime, this.#parts.authority);
    if (isDeepStrictEqual(keys, this.#feedbackKeys)) return;
    this.#feedbackKeys = keys;
    this.#channel.write({ message: { $case: 'feedbackKeys', value: { keys } } }).catch((error: unknown) => {
      // The Welcome of the next one has them.
      this.#parts.logger.debug({ err: error }, 'keys of feedback did not reach a stream that is over');
    });
  }

  /** A Node changed; if it is this runtime's, the AdapterRuntime gets its labels. */
  nodeChanged(node: string): void {
    if (this.#runtime?.node !== node) return;
    this.#nodeChanged = true;
    this.#followNode();
  }

  /** Serves until the stream is over. Never throws. */
  async run(): Promise<void> {
    const { counts, logger } = this.#parts;
    let served: BoundRuntime | undefined;
    try {
      const { runtime, hello } = await this.#greet();
      served = runtime;
      await this.#serve(runtime, hello);
      this.#channel.end();
    } catch (error) {
      const failure = asAdaptletError(error, 'serving a runtime');
      if (served === undefined) counts.refused += 1;
      const keys = { runtime: served?.key ?? '', err: failure };
      // A runtime that leaves is no failure of anything.
      if (failure.code === 'REQUEST_CANCELLED') logger.debug(keys, 'a stream of a runtime ended');
      else if (failure.code === 'INTERNAL') logger.error(keys, 'a stream of a runtime failed');
      else logger.info(keys, 'a stream of a runtime was ended');
      this.#channel.end(failure);
    }
  }

  /** Who is there, proved by its token or certificate, and what it says of itself. */
  async #greet(): Promise<{ runtime: BoundRuntime; hello: Introduced }> {
    const { policies } = this.#parts;
    // Nothing is read before the proof is accepted.
    const bind = await this.#identify(this.#channel.signal);
    const first = await firstOf(this.#channel, this.#parts.clock);
    if (first?.message?.$case !== 'hello') {
      throw new AdaptletError('HELLO_INVALID', 'the first message is no Hello');
    }
    const { held, ...hello } = readHello(first.message.value);
    this.#said = held;
    const runtime = bind(hello.claim);
    assertAllowed(runtime, policies);
    this.#runtime = runtime;
    return { hello, runtime };
  }

  async #serve(runtime: BoundRuntime, hello: Introduced): Promise<void> {
    const { connections, fleet, plans, logger, counts, replica, greetings } = this.#parts;
    const { key } = runtime;
    const { signal } = this.#channel;
    // A newer stream of it ends this one also while it waits.
    this.#former = connections.admit(key, hello.connectionSeq, this);
    let following: Following | undefined;
    let endTurn: (() => void) | undefined;
    const stopTimer = this.#endWithCertificate(runtime);
    try {
      endTurn = await greetings.take(signal, this.#isOnTrial(key));
      const clusterUid = await this.#clusterUid();
      this.#enrol = () => enrol(this.#parts, runtime, hello, clusterUid, signal);
      await this.#enrol();
      this.#isEnrolled = true;
      this.#followNode();
      const reporting = new Reporting(this.#parts, runtime, hello, () => this.#delivery);
      const feedbackKeys = feedbackKeysFor(runtime, this.#parts.authority);
      this.#feedbackKeys = feedbackKeys;
      const welcome = { clusterUid, replica, readsHeldHash: true, feedbackKeys, ...reporting.told };
      await this.#channel.write({ message: { $case: 'welcome', value: welcome } });
      counts.accepted += 1;
      logger.info({ runtime: key, version: hello.version }, 'a runtime connected');
      following = plans.follow({ ...runtime, baseModel: hello.baseModel }, () => this.changed());
      const sent = new SentPlan(this.#parts, key, hello);
      this.#delivery = this.#deliveryTo(runtime, hello, { clusterUid, following, sent, reporting });
      // Long reports come in turns as well, so that a new leader does not have those of all at once.
      if (!reporting.isLong) endTurn();
      this.#endTurn = endTurn;
      await this.#listen(runtime, { reporting, delivery: this.#delivery, following, sent });
    } finally {
      endTurn?.();
      stopTimer();
      this.#again?.();
      following?.close();
      fleet.gone(local, key, hello.connectionSeq);
      connections.release(key, this);
    }
  }

  /** Canaries that are judged there wait for it. Every replica sees that; what only the leader heard may be newer. */
  #isOnTrial(key: ObjectKey): boolean {
    const { objects, fleet } = this.#parts;
    const underWay = objects.runtimes.get(key)?.object?.status?.rollouts ?? [];
    return underWay.length > 0 || hasCanary(fleet.get(key));
  }

  /** What a device may do ends with its certificate, and changes between the proof and now are seen here. */
  #endWithCertificate({ device }: BoundRuntime): () => void {
    this.deviceChanged();
    if (device === undefined) return () => undefined;
    const { clock } = this.#parts;
    return clock.after(device.until - clock.now(), () =>
      this.end(
        new AdaptletError('RUNTIME_UNAUTHENTICATED', 'the certificate of the device is over', {
          advice: 'Nothing to do: the device dials again with the next one.',
        }),
      ),
    );
  }

  async #enrolAgain(tries: number): Promise<void> {
    const { clock, random, logger } = this.#parts;
    this.#again = () => undefined;
    try {
      await this.#enrol?.();
      this.#again = undefined;
      this.#followNode();
    } catch (error) {
      if (this.#channel.signal.aborted) return;
      logger.warn({ err: error, tries }, 'an AdapterRuntime cannot be written anew; it is tried again');
      this.#again = clock.after(
        backoffMs(tries, random, retryDelays),
        () => void this.#enrolAgain(tries + 1),
      );
    }
  }

  #followNode(): void {
    if (!this.#nodeChanged || !this.#isEnrolled || this.#again !== undefined) return;
    this.#nodeChanged = false;
    void this.#enrolAgain(1);
  }

  async #clusterUid(): Promise<string> {
    try {
      return await this.#parts.clusterUid();
    } catch (error) {
      const { what } = asAdaptletError(error, 'reading the namespace kube-system');
      throw new AdaptletError('REPLICA_UNAVAILABLE', `the cluster is not known yet: ${what}`, {
        cause: error,
      });
    }
  }

  #deliveryTo(
    { key }: BoundRuntime,
    hello: Introduced,
    { clusterUid, following, sent, reporting }: Omit<Served, 'delivery'> & { readonly clusterUid: string },
  ): Delivery {
    const { objects, gate, clock, counts } = this.#parts;
    const [held, former] = [this.#said, this.#former];
    this.#said = new Map();
    this.#former = undefined;
    return new Delivery(
      {
        channel: this.#channel,
        clock,
        counts,
        plan: () => sent.of(following.plan(), (name) => this.#delivery?.held?.get(name)),
        // What a restrained runtime may be sent depends on more of a rollout than its plan does.
        settled: (names) => following.settled({ names, hearsAll: sent.isRestrained }),
        refusedChanged: () => reporting.acknowledged(),
        mayRemove: gate.mayRemove,
        confirmedRemovals: () => objects.runtimes.get(key)?.metadata.annotations?.[confirmAnnotation] ?? '',
        isHealthy: () => objects.health().ok,
      },
      { ...hello, held },
      { cluster: clusterUid, former },
    );
  }

  /**
   * Reads until the runtime sends no more.
   * @throws HELLO_INVALID, the reason of the signal
   */
  async #listen(runtime: BoundRuntime, { reporting, delivery, following, sent }: Served): Promise<void> {
    const plan = () => sent.enforced(following.plan());
    const questions = new Questions({ ...this.#parts, channel: this.#channel, runtime, plan });
    await this.#channel.each(({ message }): Promise<void> | void => {
      switch (message?.$case) {
        case 'ack':
          delivery.acknowledged(message.value);
          reporting.acknowledged();
          break;
        case 'held':
          delivery.listed(message.value);
          break;
        case 'subscribe':
          delivery.subscribe(message.value.names);
          break;
        case 'report':
          reporting.report(message.value);
          this.#endTurn();
          // What it has may let something through to a restrained runtime.
          if (sent.isRestrained) delivery.look();
          break;
        case 'credential':
        case 'peers':
        case 'servingCertificate':
          return questions.take(message);
        case 'hello':
          throw new AdaptletError('HELLO_INVALID', 'there was a second Hello');
        case undefined:
          // Of a newer protocol; nothing that this side needs.
          break;
      }
    });
  }
}
