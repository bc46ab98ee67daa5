import type { Logger } from 'pino';
import type { ObjectKey } from '../../api/names.ts';
import type { HeldPlan } from '../../control/held-plan.ts';
import { Receiver } from '../../control/receiver.ts';
import { revisionToWire } from '../../control/revision.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Hello, Welcome } from '../../gen/adaptlet/control/v1/control.ts';
import type { Change } from '../../plan/changes.ts';
import { enforcedFields } from '../../plan/policy-fields.ts';
import { resourceKey, type Versioned } from '../../plan/resources.ts';
import type { Clock } from '../../time/clock.ts';
import type { OperatorView } from '../admin/views.ts';
import type { PeerQuestions } from '../peers/questions.ts';
import type { PlanInForce } from '../plan-source/plan-in-force.ts';
import type { PlanSource } from '../plan-source/plan-source.ts';
import type { Residency } from '../residency/manager.ts';
import { buildTable, partsOf, type RoutingTable } from '../routing/table.ts';
import type { FeedbackKeys } from '../serving/counts/feedback-keys.ts';
import type { LinkMemory } from '../state/memory.ts';
import { type BreakGlassParts, breakGlass } from './break-glass.ts';
import { Connection, type Peer } from './connection.ts';
import type { Dial } from './dial.ts';
import { NameLookup } from './name-lookup.ts';
import { PlanFollower } from './plan-follower.ts';
import type { PullCredentials } from './pull-credentials.ts';
import { Reports } from './reports.ts';
import { ConnectionSequence } from './sequence.ts';
import type { ServingCertificate } from './serving-certificate.ts';
import { type SnapshotParts, takeSnapshot } from './snapshot.ts';
import { decidedOf } from './views.ts';

/** Version of the protocol that this runtime speaks. */
const protocol = 1;

/** What the Hello says of this runtime. */
export type Introduction = Pick<
  Hello,
  | 'identity'
  | 'instance'
  | 'version'
  | 'baseModel'
  | 'baseDigest'
  | 'executionProvider'
  | 'maxRank'
  | 'labels'
> &
  Partial<Pick<Hello, 'peerAddress'>>;

export type SyncParts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** host:port of the operator and how to reach it; absent: the last plan stays in force. */
  readonly operator:
    | { readonly address: string; readonly dial: Dial; readonly close?: () => void }
    | undefined;
  readonly introduction: () => Introduction;
  readonly remembered: { readonly plan: HeldPlan | undefined; readonly link: LinkMemory | undefined };
  readonly memory: {
    readonly plan: { write(plan: HeldPlan): Promise<void> };
    readonly link: { write(link: LinkMemory): Promise<void> };
  };
  readonly plan: Pick<PlanInForce, 'apply' | 'awaited' | 'look' | 'saved' | 'table' | 'uidOf'>;
  readonly holds: BreakGlassParts['holds'];
  readonly residency: Pick<Residency, 'state' | 'retry' | 'whyNot'>;
  /** Tries again at once what failed with that code: adapters and classifiers. */
  readonly retryFailed: Residency['retryFailed'];
  readonly pulls: PullCredentials;
  /** What the operator gives. */
  readonly feedbackKeys: Pick<FeedbackKeys, 'learn'>;
  /** Undefined: this runtime shares no blobs. */
  readonly peers?: PeerQuestions | undefined;
  /** Undefined: its request ports have no certificate of the operator. */
  readonly serving?: ServingCertificate['questions'] | undefined;
  /** What reports are made of, besides plan and holds. */
  readonly node: Omit<SnapshotParts, 'plan' | 'holds'>;
};

/** The stream of an operator, and what it decided. */
export class SyncSource implements PlanSource {
  readonly #parts: SyncParts;
  readonly #receiver: Receiver;
  readonly #follower: PlanFollower;
  readonly #reports: Reports;
  readonly #sequence: ConnectionSequence;
  readonly #connection: Connection | undefined;
  readonly #startedAt: number;
  /** Of the stream that there is, or that is being opened. */
  #connectionSeq = 0n;
  #link: LinkMemory;
  /** The operator that answered last reads no hash of what is held. */
  #listsHeld = false;
  /** The Hello of the present stream has the hash instead of the list. */
  #saidHash = false;
  #linked: Promise<void> = Promise.resolve();
  readonly demand: NameLookup;

  constructor(parts: SyncParts) {
    const { clock, logger, plan, holds, node, memory, remembered, operator, random } = parts;
    this.#parts = parts;
    this.#startedAt = clock.now();
    this.#link = remembered.link ?? { reservedSeq: 0, subscriptions: [] };
    this.#receiver = new Receiver({
      ...(remembered.plan === undefined ? {} : { held: remembered.plan }),
      clock,
      check: (resource) => checkResource(resource, plan.table.base),
    });
    this.#follower = new PlanFollower({
      receiver: this.#receiver,
      clock,
      logger,
      write: async (held) => {
        // A plan that the disk has without what it needs beside it would take an adapter out of service at the next start.
        await plan.saved();
        await memory.plan.write(held);
      },
      apply: (next) => {
        const changes = plan.apply(next);
        this.demand.applied();
        this.#reports.changed(rolloutsAlone(changes));
      },
      changed: () => this.#reports.changed([]),
    });
    this.#reports = new Reports({
      clock,
      snapshot: (since) => takeSnapshot({ ...node, plan, holds }, this.#follower.removalsHeld, since),
      due: () => this.#connection?.report(),
    });
    this.#sequence = new ConnectionSequence(this.#link.reservedSeq, {
      clock,
      logger,
      reserve: (reservedSeq) => this.#remember({ ...this.#link, reservedSeq }),
    });
    this.demand = new NameLookup({
      clock,
      names: this.#link.subscriptions,
      has: (name) => this.#has(name),
      canAsk: () => ['connected', 'connecting'].includes(this.#connection?.state.kind ?? 'closed'),
      changed: () => this.#connection?.subscribe(),
      remember: () => {
        const subscriptions = [...this.demand.remembered];
        this.#remember({ ...this.#link, subscriptions }).catch((error: unknown) => {
          logger.error({ err: error }, 'names that were asked for could not be written to disk');
        });
      },
    });
    if (operator !== undefined) {
      const connection = new Connection({ dial: operator.dial, peer: this.#peer(), clock, logger, random });
      this.#connection = connection;
      parts.pulls.through((request) => connection.ask({ $case: 'credential', value: request }));
      parts.peers?.through((request) => connection.ask({ $case: 'peers', value: request }));
      parts.serving?.through((value) => connection.ask({ $case: 'servingCertificate', value }));
    }
  }

  resume(): void {
    // Before the first commit there is nothing to put in force: holds of a plan that the disk lost stay.
    if (this.#receiver.plan.size > 0) this.#parts.plan.apply(this.#receiver.plan);
  }

  saved(): Promise<boolean> {
    return this.#follower.saved();
  }

  async follow(): Promise<void> {
    this.#connection?.start();
  }

  async close(): Promise<void> {
    this.#connection?.close();
    this.#parts.operator?.close?.();
    this.#reports.close();
    this.demand.close();
    await Promise.all([this.#follower.close(), this.#parts.holds.saved(), this.#linked]);
  }

  wake(): void {
    this.#reports.changed();
  }

  counted(): void {
    this.#reports.counted();
  }

  mirrored(): void {
    this.#reports.counted();
  }

  rollouts() {
    const { plan, holds } = this.#parts;
    return [...plan.table.splits.values()].map((split) => decidedOf(split, holds.ofRollout(split.body.uid)));
  }

  async verb(key: ObjectKey, verb: Parameters<PlanSource['verb']>[1]) {
    const { plan, holds, residency } = this.#parts;
    await breakGlass(
      { table: () => plan.table, awaited: (rollout) => plan.awaited(rollout), holds, residency },
      key,
      verb,
    );
    plan.look();
    this.#reports.changed();
    const split = plan.table.splits.get(key);
    if (split === undefined) throw new AdaptletError('MODEL_NOT_FOUND', `AdapterRollout ${key} was removed`);
    return decidedOf(split, holds.ofRollout(split.body.uid));
  }

  report(): ReturnType<PlanSource['report']> {
    return { manifests: { folder: '', state: 'none', problems: [] }, operator: this.#view() };
  }

  async trustCluster(): Promise<void> {
    const connection = this.#following();
    const former = this.#receiver.clusterUid;
    this.#receiver.trust();
    await this.#follower.save();
    this.#parts.logger.warn({ former }, 'the next cluster that answers is followed');
    connection.restart('another cluster is to be followed');
  }

  async confirmRemovals(): Promise<number> {
    this.#following();
    const removed = await this.#follower.confirmRemovals();
    if (removed === 0) throw new AdaptletError('VERB_REFUSED', 'no removals are held back');
    return removed;
  }

  #following(): Connection {
    if (this.#connection !== undefined) return this.#connection;
    throw new AdaptletError('VERB_REFUSED', 'this node follows no operator now');
  }

  #peer(): Peer {
    return {
      hello: async () => {
        const connectionSeq = await this.#sequence.next();
        this.#connectionSeq = connectionSeq;
        const { clusterUid, revision } = this.#receiver.hello();
        const isHashed = !this.#listsHeld && this.#receiver.plan.size > 0;
        this.#saidHash = isHashed;
        return {
          protocol,
          peerAddress: '',
          ...this.#parts.introduction(),
          connectionSeq,
          clusterUid,
          revision: revisionToWire(revision),
          held: isHashed ? [] : this.#receiver.heldList(),
          heldHash: isHashed ? this.#receiver.heldHash() : Buffer.alloc(0),
          subscriptions: this.demand.names,
          policyFields: [...enforcedFields],
        };
      },
      welcome: ({ clusterUid, readsHeldHash, reportsKept, reportLike, feedbackKeys }) => {
        this.#listsHeld = !readsHeldHash;
        // It took an empty list for what is held, and would remove nothing of it.
        if (this.#saidHash && !readsHeldHash)
          throw new Error('the operator reads no hash of what is held; the next Hello lists it');
        this.#follower.welcome(clusterUid);
        this.#learn(feedbackKeys);
        this.#reports.open(this.#connectionSeq, { kept: reportsKept, like: reportLike });
        // The peer is told before the connection counts as one.
        queueMicrotask(() => {
          this.#parts.retryFailed('PULL_CREDENTIAL_AWAITED', 'the operator is reached again');
          this.#parts.peers?.connected();
          this.#parts.serving?.connected();
        });
      },
      put: (resource) => this.#follower.put(resource),
      remove: (key) => this.#follower.remove(key),
      commit: (commit) => this.#follower.commit(commit),
      unknown: (names) => this.demand.unknown(names),
      credential: (credential) => this.#parts.pulls.answered(credential),
      peers: (answer) => this.#parts.peers?.answered(answer),
      servingCertificate: (answer) => this.#parts.serving?.answered(answer),
      feedbackKeys: ({ keys }) => this.#learn(keys),
      broken: () => {
        this.#parts.pulls.broken();
        this.#parts.peers?.broken();
        this.#parts.serving?.broken();
        this.#reports.close();
        this.#follower.broken();
      },
      held: (partHashes) => this.#receiver.heldListWithout(partHashes),
      subscribe: () => ({ names: this.demand.names }),
      report: () => this.#reports.next(),
    };
  }

  /** A key that is none would let everybody make up ids, or could not be read again. */
  #learn(given: Welcome['feedbackKeys']): void {
    const keys = given.filter(({ namespace, key }) => key.length === 32 && namespace.length <= 253);
    if (keys.length < given.length)
      this.#parts.logger.warn(
        { left: given.length - keys.length },
        'keys for ids of answers are not of the form that this version knows; they are left out',
      );
    this.#parts.feedbackKeys.learn(
      keys.map(({ namespace, key }) => ({ namespace, key: key.toString('hex') })),
    );
  }

  #has(name: ObjectKey): boolean {
    const { table } = this.#parts.plan;
    const [namespace, plain] = partsOf(name);
    return (
      table.adapters.has(name) ||
      table.splits.has(name) ||
      table.namespaces.get(namespace)?.routes.has(plain) === true
    );
  }

  #remember(link: LinkMemory): Promise<void> {
    this.#link = link;
    const written = this.#parts.memory.link.write(link);
    // Who asks for it hears of the error.
    this.#linked = written.catch(() => undefined);
    return written;
  }

  #view(): OperatorView {
    const state = this.#connection?.state;
    const { revision, clusterUid, removals } = this.#receiver;
    return {
      address: this.#parts.operator?.address ?? '',
      state: state?.kind ?? 'none',
      since: new Date(state?.since ?? this.#startedAt).toISOString(),
      lastError: state?.lastError ?? '',
      replica: state?.replica ?? '',
      clusterUid,
      revision: `${revision.adapters}/${revision.rollouts}/${revision.routes}/${revision.runtimes}`,
      refused: this.#follower.refused,
      ...(removals === undefined
        ? {}
        : { removalsHeld: { count: removals.count, remainingMs: removals.remainingMs } }),
      notSaved: this.#follower.notSaved,
    };
  }
}

/** The rollouts that changed; undefined: something else changed, too. */
const rolloutsAlone = (changes: readonly Change[]): ObjectKey[] | undefined => {
  const rollouts: ObjectKey[] = [];
  for (const { before, now } of changes) {
    const resource = now ?? before;
    if (resource?.type !== 'Split') return undefined;
    rollouts.push(resource.name);
  }
  return rollouts;
};

/**
 * Why this runtime does not take a resource whose form is right; undefined: it does. Only what is wrong with the
 * resource itself: what belongs to several of them is the compiler's.
 */
export const checkResource = (resource: Versioned, base: RoutingTable['base']): string | undefined => {
  if (resource.type !== 'Route') return undefined;
  const entry = buildTable(new Map([[resourceKey(resource), resource]]), base).routes.get(resource.name);
  return entry === undefined || entry.accepted ? undefined : entry.message;
};
