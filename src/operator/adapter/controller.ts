import type { AdapterStatus } from '../../api/adapter-status.ts';
import { conditionOf, conditionsOf, cut, joinCapped, readiness } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import type { AdapterObject, RolloutObject } from '../../api/objects.ts';
import type { Read } from '../objects/objects.ts';
import {
  type Controller,
  type ControllerParts,
  inGrace,
  type Requeue,
  soonest,
} from '../reconcile/controller.ts';
import { FencedWrites, lookAgainMs, versionOf, type Written } from '../reconcile/fenced-writes.ts';
import { inUseFinalizer, type Use } from '../reconcile/uses.ts';
import { WriteBudget, writeRates } from '../reconcile/write-budget.ts';
import { type AdapterDecision, decideAdapter, digestOf, digestSourceOf } from './decide.ts';
import type { Seen } from './failures.ts';
import { type AdapterSources, followAdapters } from './follow.ts';
import { holdersOf, placementAt, questionOf } from './observe.ts';
import type { EventReason } from './reasons.ts';
import { signatureReasons } from './signed.ts';

export type AdapterParts = ControllerParts &
  AdapterSources & {
    /**
     * Whether a namespace is being deleted.
     * @throws KUBE_*
     */
    readonly isTerminating: (namespace: string, signal: AbortSignal) => Promise<boolean>;
  };

/** Milliseconds between two looks at the namespace of an Adapter that is being deleted and in use. */
const terminatingMs = 30_000;

type AdapterRead = Read<AdapterObject>;
type Memory = {
  readonly uid: string;
  seen: Seen;
  terminating: { readonly at: number; readonly is: boolean } | undefined;
  /** The complaint that was recorded last. */
  complaint: string;
};

/**
 * Keeps the status and the finalizer of each Adapter.
 *
 * Guarantees: the finalizer is there exactly while a rollout names the Adapter, by its uid in a status or by its name in
 * a spec, and its namespace is not being deleted; a tag is resolved once; status.digest, once written, is written again
 * with every status.
 */
export class AdapterController implements Controller {
  readonly name = 'adapter';
  readonly #parts: AdapterParts;
  readonly #writes: FencedWrites;
  readonly #memories = new Map<ObjectKey, Memory>();
  readonly #budget: WriteBudget;

  constructor(parts: AdapterParts) {
    this.#parts = parts;
    this.#budget = new WriteBudget(parts.clock, writeRates.Adapter);
    this.#writes = new FencedWrites('Adapter', parts);
  }

  readonly follow: Controller['follow'] = (enqueue) => followAdapters(this.#parts, enqueue);

  readonly reconcile: Controller['reconcile'] = async (key, signal) => {
    const read = this.#parts.objects.adapters.get(key);
    if (read === undefined) {
      this.#forget(key);
      return {};
    }
    const memory = this.#memoryOf(read);
    if (this.#writes.isBehind(read)) return { requeueAfterMs: lookAgainMs };
    const uses = this.#parts.uses.of(key, read.metadata.uid);
    const finalizer = await this.#keepOrRelease(read, memory, uses, signal);
    if (finalizer.written) return finalizer.requeue;
    const status = await this.#updateStatus(read, memory, uses, signal);
    return soonest(finalizer.requeue.requeueAfterMs, status.requeueAfterMs);
  };

  /** The finalizer, before anything else: a rollout waits for it. */
  async #keepOrRelease(
    read: AdapterRead,
    memory: Memory,
    uses: readonly Use[],
    signal: AbortSignal,
  ): Promise<{ readonly written: boolean; readonly requeue: Requeue }> {
    const { finalizers = [], deletionTimestamp, namespace = '' } = read.metadata;
    const has = finalizers.includes(inUseFinalizer);
    const isDeleting = deletionTimestamp !== undefined;
    const isUsed = uses.length > 0 || (has && this.#parts.uses.uncertain(namespace));
    const poll = has && isUsed && isDeleting;
    const isEnding = poll && (await this.#isTerminating(namespace, memory, signal));
    const wanted = isUsed && !isEnding;
    if (poll && !isEnding) this.#complain(read, memory, 'Kept', keptBy(uses));
    // The API server takes no new finalizer on an object that is being deleted.
    if (wanted === has || (wanted && isDeleting)) {
      return { written: false, requeue: poll ? { requeueAfterMs: terminatingMs } : {} };
    }
    const next = wanted
      ? [...finalizers, inUseFinalizer]
      : finalizers.filter((one) => one !== inUseFinalizer);
    const written = await this.#writes.write(read, (writer, of) => writer.setFinalizers(of, next, signal));
    return { written: true, requeue: again(written) };
  }

  async #isTerminating(namespace: string, memory: Memory, signal: AbortSignal): Promise<boolean> {
    const now = this.#parts.clock.monotonic();
    const { terminating } = memory;
    if (terminating !== undefined && now - terminating.at < terminatingMs) return terminating.is;
    const is = await this.#parts.isTerminating(namespace, signal);
    memory.terminating = { at: now, is };
    return is;
  }

  async #updateStatus(
    read: AdapterRead,
    memory: Memory,
    uses: readonly Use[],
    signal: AbortSignal,
  ): Promise<Requeue> {
    const { clock, claims, presences, resolver, verdicts, signatures } = this.#parts;
    const { key, object: adapter } = read;
    if (adapter === undefined) return this.#refuse(read, memory, signal);
    const { uid } = adapter.metadata;
    const source = digestSourceOf(adapter);
    const verdict = verdicts.of(adapter);
    const isAsked = source.kind === 'Tag' && verdict === undefined;
    const resolution = isAsked ? resolver.of(key, uid, source.oci) : undefined;
    if (!isAsked) resolver.forget(uid);
    const digest = digestOf(source, resolution);
    const rollouts = this.#rolloutsOf(key);
    const question = questionOf(adapter, rollouts);
    const { groups, changesInMs } = presences.groups(adapter.metadata.namespace, question);
    const decision = decideAdapter({
      adapter,
      source,
      resolution,
      nameConflict: claims.conflictOf(adapter),
      uses,
      verdict,
      signed: verdict === undefined ? signatures.of(adapter) : undefined,
      holders: holdersOf(adapter, digest, rollouts, groups, presences),
      placement: placementAt(adapter, groups),
      seen: memory.seen,
      now: new Date(clock.now()).toISOString(),
      isNewTerm: inGrace(this.#parts),
    });
    memory.seen = decision.seen;
    if (decision.change === 'None') {
      this.#budget.settled(key);
      return soonest(changesInMs);
    }
    const waitMs = this.#budget.waitMs(key, uid, decision.change);
    if (waitMs > 0) return soonest(waitMs, changesInMs);
    const written = await this.#writes.replaceStatus(read, decision.status, signal);
    if (written !== 'Written') return again(written);
    this.#budget.written(key, uid);
    this.#tell(read, adapter.status, decision);
    return soonest(changesInMs);
  }

  /** Rollouts that use the adapter and that the plan has: the others ask nothing of any runtime. */
  #rolloutsOf(key: ObjectKey): RolloutObject[] {
    const { uses, objects, claims } = this.#parts;
    return [...uses.rolloutsOf(key)].sort().flatMap((rollout) => {
      const object = objects.rollouts.get(rollout)?.object;
      return object === undefined || claims.conflictOf(object) !== undefined ? [] : [object];
    });
  }

  /** A spec that is not valid is told in the status, without a touch of what else is written there. */
  async #refuse(read: AdapterRead, memory: Memory, signal: AbortSignal): Promise<Requeue> {
    const message = joinCapped(
      read.problems.map(({ reason }) => reason),
      10,
      '; ',
    );
    const isSpec = read.problems.every(({ path }) => path[0] !== 'status');
    if (!this.#isNews(read, memory, 'InvalidSpec', message)) return {};
    if (isSpec) {
      const reason = 'InvalidSpec';
      const accepted = { type: 'Accepted', status: 'False', reason, message } as const;
      const observed = [accepted, ...readiness('Failed', reason, message)];
      const status = {
        observedGeneration: read.metadata.generation ?? 1,
        runtimes: { desired: 0, stored: 0, resident: 0, serving: 0, failed: 0 },
        failures: [],
        conditions: conditionsOf(observed, undefined, new Date(this.#parts.clock.now()).toISOString()),
      };
      const written = await this.#writes.write(read, (writer, of) => writer.mergeStatus(of, status, signal));
      if (written !== 'Written') return again(written);
    }
    this.#complain(read, memory, 'InvalidSpec', message);
    return {};
  }

  #tell(read: AdapterRead, before: AdapterStatus | undefined, { status }: AdapterDecision): void {
    const news = (type: string, reasons: readonly string[]): void => {
      const now = conditionOf(status.conditions, type);
      const then = conditionOf(before?.conditions, type);
      if (now === undefined || !reasons.includes(now.reason) || now.reason === then?.reason) return;
      this.#record(read, now.reason as EventReason, now.message);
    };
    news('Resolved', ['TagResolved', 'ResolveFailed', 'DigestRequired']);
    news('Accepted', ['NameConflict', 'SourceNotAllowed', 'TooManyAdapters', 'PolicyInvalid']);
    news('SignatureVerified', Object.values(signatureReasons));
    news('Ready', ['Failed']);
  }

  #memoryOf({ key, metadata: { uid } }: AdapterRead): Memory {
    const known = this.#memories.get(key);
    if (known?.uid === uid) return known;
    if (known !== undefined) this.#forget(key);
    const memory: Memory = {
      uid,
      seen: new Map(),
      terminating: undefined,
      complaint: '',
    };
    this.#memories.set(key, memory);
    return memory;
  }

  #forget(key: ObjectKey): void {
    const memory = this.#memories.get(key);
    if (memory !== undefined) {
      this.#parts.resolver.forget(memory.uid);
      this.#parts.signatures.forget(memory.uid);
    }
    this.#memories.delete(key);
    this.#budget.forget(key);
    this.#writes.forget(key);
  }

  #isNews({ metadata }: AdapterRead, { complaint }: Memory, reason: EventReason, note: string): boolean {
    return complaint !== `${metadata.generation} ${reason} ${note}`;
  }

  #complain(read: AdapterRead, memory: Memory, reason: EventReason, note: string): void {
    if (!this.#isNews(read, memory, reason, note)) return;
    memory.complaint = `${read.metadata.generation} ${reason} ${note}`;
    this.#record(read, reason, note);
  }

  #record(read: AdapterRead, reason: EventReason, note: string): void {
    const type = reason === 'TagResolved' || reason === 'Kept' ? 'Normal' : 'Warning';
    const regarding = versionOf('Adapter', read);
    this.#parts.recorder.record({ regarding, type, reason, note: cut(note, 1024), action: 'Observe' });
  }
}

const again = (written: Written): Requeue => (written === 'Conflict' ? { requeueAfterMs: lookAgainMs } : {});

const keptBy = (uses: readonly Use[]): string => {
  const rollouts = [...new Set(uses.map(({ rollout }) => rollout))];
  return rollouts.length === 0
    ? 'it is kept: a rollout of the namespace cannot be read and may use it'
    : `it is kept until these rollouts no longer use it: ${joinCapped(rollouts, 10)}`;
};
