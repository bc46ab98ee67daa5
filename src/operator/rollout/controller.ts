import { cut, joinCapped } from '../../api/condition.ts';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { MetricsOfRollouts } from '../../measurement/metrics-of-rollouts.ts';
import type { Measure } from '../../measurement/source.ts';
import { parseRequest, type RolloutRequest } from '../../rollout/request.ts';
import type { Read } from '../objects/objects.ts';
import {
  type Controller,
  type ControllerParts,
  type OperatorEvent,
  soonest,
} from '../reconcile/controller.ts';
import { FencedWrites, lookAgainMs, versionOf } from '../reconcile/fenced-writes.ts';
import type { Presences } from '../reconcile/presence.ts';
import { Spread } from '../reconcile/spread.ts';
import { writeRates } from '../reconcile/write-budget.ts';
import { analysisFact } from './analysis-fact.ts';
import { completionsOf, RolloutEventCounts } from './event-counts.ts';
import { followRollouts, isAtRest, type RolloutSources } from './follow.ts';
import type { eventReasons } from './reasons.ts';
import { type Memory, newMemory, type TurnEvent, turnOf } from './turn.ts';
import { viewOf } from './view.ts';

export type RolloutParts = ControllerParts &
  RolloutSources & {
    readonly presences: Presences;
    /** Asks a server for the number of a metric. */
    readonly measure: Measure;
  };

/** Annotation in which a person asks for a verb. */
const requestAnnotation = 'adaptlet.io/request';

/** Events of what went wrong. */
const warnings: ReadonlySet<string> = new Set([
  'Aborted',
  'AdapterFailed',
  'AdapterRemoved',
  'ProgressDeadlineExceeded',
  'RequestRefused',
  'NameConflict',
  'NotSchedulable',
  'AnalysisNotFound',
  'AnalysisInvalid',
  'RuntimesSetAside',
  'InvalidSpec',
]);

type Own = keyof typeof eventReasons;
type RolloutRead = Read<RolloutObject>;

/**
 * Decides about each AdapterRollout with the facts of all runtimes, by the state machine that a node alone uses.
 *
 * Guarantees: everything effective is in the status, which is written against the version that was decided from; events
 * are recorded once the write succeeded; a version that is known to be replaced is not decided from again.
 */
export class RolloutController implements Controller {
  readonly name = 'rollout';
  /** What it counts, for metrics. */
  readonly eventCounts = new RolloutEventCounts();
  readonly #parts: RolloutParts;
  readonly #writes: FencedWrites;
  readonly #memories = new Map<ObjectKey, Memory>();
  /** What was complained about by an event, once per object and complaint. */
  readonly #complaints = new Map<ObjectKey, string>();

  readonly #metrics: MetricsOfRollouts;
  readonly #underWay: Spread;
  readonly #atRest: Spread;

  constructor(parts: RolloutParts) {
    this.#parts = parts;
    this.#underWay = new Spread(parts.clock, writeRates.AdapterRollout.Observation);
    this.#atRest = new Spread(parts.clock, writeRates.AdapterRollout.AtRest);
    this.#metrics = new MetricsOfRollouts(parts);
    this.#writes = new FencedWrites('AdapterRollout', parts);
  }

  readonly follow: Controller['follow'] = (enqueue) => {
    const unfollow = followRollouts(this.#parts, enqueue);
    const stop = this.#metrics.follow((key) => enqueue(key, 0));
    return () => {
      unfollow();
      stop();
    };
  };

  readonly reconcile: Controller['reconcile'] = async (key, signal) => {
    const read = this.#parts.objects.rollouts.get(key);
    if (read === undefined) {
      this.#memories.delete(key);
      this.#complaints.delete(key);
      this.#writes.forget(key);
      this.eventCounts.forget(key);
      this.#metrics.want(key, undefined, []);
      return {};
    }
    if (read.metadata.deletionTimestamp !== undefined) return {};
    if (read.object === undefined) {
      const why = read.problems.map(({ reason }) => reason);
      this.#complain(read, 'InvalidSpec', joinCapped(why, 10, '; '));
      return {};
    }
    if (this.#writes.isBehind(read)) return { requeueAfterMs: lookAgainMs };
    return this.#decide(read, read.object, signal);
  };

  async #decide(read: RolloutRead, rollout: RolloutObject, signal: AbortSignal) {
    const { clock, term, objects, presences, claims, verdicts, signatures } = this.#parts;
    const { key } = read;
    const view = viewOf({
      rollout,
      objects,
      presences,
      nameConflict: claims.conflictOf(rollout),
      verdicts,
      signatures,
    });
    const memory = this.#memoryOf(key, rollout.metadata.uid);
    const turn = turnOf({
      view,
      memory,
      now: clock.now(),
      monotonic: clock.monotonic(),
      epoch: term.epoch,
      request: this.#requestOf(read),
      measured: (id, number) => this.#metrics.result(id, number),
      placeInMs: () => (isAtRest(rollout) ? this.#atRest : this.#underWay).delayOf(key),
      analysis: (name) => analysisFact(objects.analyses, objectKey(rollout.metadata.namespace, name)),
    });
    const { write, requeueAfterMs } = turn;
    let next = turn.memory;
    if (write !== undefined) {
      // A write that fails has used its turn as well.
      const { observesAt: _turn, ...used } = memory;
      // Until a write is answered, nobody knows which status there is: its time begins when it is seen.
      const { decidedAt: _, alone: __, ...timeless } = used;
      this.#memories.set(key, timeless);
      const written = await this.#writes.replaceStatus(read, write.status, signal);
      if (written !== 'Written') {
        this.#memories.set(key, used);
        // The cache brings what was written meanwhile, and with it another run.
        return written === 'Gone' ? {} : { requeueAfterMs: lookAgainMs };
      }
      // A decision is in force from here on, not from when it was made.
      if (write.change === 'Decision') next = { ...next, decidedAt: clock.monotonic() };
      this.eventCounts.completed(completionsOf(rollout.status, write.events));
      for (const event of write.events) this.#record(read, event);
    }
    this.#memories.set(key, next);
    this.#metrics.want(key, write?.status ?? rollout.status, turn.wanted ?? []);
    return soonest(requeueAfterMs, view.changesInMs);
  }

  #memoryOf(key: ObjectKey, uid: string): Memory {
    const memory = this.#memories.get(key);
    return memory?.uid === uid ? memory : newMemory(uid);
  }

  #requestOf(read: RolloutRead): RolloutRequest | undefined {
    const asked = read.metadata.annotations?.[requestAnnotation];
    if (asked === undefined) return undefined;
    const request = parseRequest(asked);
    if (request === undefined) {
      const note = `the annotation ${requestAnnotation} is ${JSON.stringify(cut(asked, 100))}: write <verb>@<id> with an id that was not used before, as kubectl adaptlet does`;
      this.#complain(read, 'RequestRefused', note);
    }
    return request;
  }

  #complain(read: RolloutRead, reason: Own, note: string): void {
    const complaint = `${read.metadata.uid} ${reason} ${note}`;
    if (this.#complaints.get(read.key) === complaint) return;
    this.#complaints.set(read.key, complaint);
    this.#record(read, { reason, message: note });
  }

  #record(
    read: RolloutRead,
    { reason, message }: { readonly reason: TurnEvent['reason'] | Own; readonly message: string },
  ): void {
    const event: OperatorEvent = {
      regarding: versionOf('AdapterRollout', read),
      type: warnings.has(reason) ? 'Warning' : 'Normal',
      reason,
      note: cut(message, 1024),
      action: 'Decide',
    };
    this.#parts.recorder.record(event);
    this.eventCounts.event(read.key, event);
  }
}
