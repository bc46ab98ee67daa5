import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { Manifest, RolloutObject, UserObject } from '../../api/objects.ts';
import type { ManifestProblem } from '../../api/parse.ts';
import { keyOf } from '../../api/references.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { MetricsOfRollouts } from '../../measurement/metrics-of-rollouts.ts';
import type { Measure } from '../../measurement/source.ts';
import { compilePlan, type PlanProblem } from '../../plan/compile.ts';
import type { Plan } from '../../plan/resources.ts';
import { decide } from '../../rollout/decide.ts';
import type { AnalysisFact } from '../../rollout/facts.ts';
import type { RolloutRequest } from '../../rollout/request.ts';
import type { Clock } from '../../time/clock.ts';
import type { StandaloneMemory } from '../state/memory.ts';
import type { StateFile } from '../state/state-file.ts';
import { factsOf, type NodeFacts } from './facts.ts';
import { type FolderIndex, indexOf } from './folder-index.ts';
import { dropUnused, type FolderState, type Merged, objectsOf } from './folder-state.ts';

export type ControllerParts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly runtime: { readonly baseModel: string; readonly labels: Readonly<Record<string, string>> };
  readonly memory: Pick<StateFile<StandaloneMemory>, 'write'>;
  /** What keys for tokens of sessions are made of. Absent: there are no tokens. */
  readonly sessionSecret?: string;
  readonly node: NodeFacts;
  /** Asks a server for the number of a metric. */
  readonly measure: Measure;
  /** Puts a plan in force, as a whole. */
  readonly apply: (plan: Plan) => void;
};

/** What the manifest folder looks like, for status. */
export type FolderReport = { readonly state: string; readonly problems: readonly ManifestProblem[] };

/**
 * The operator of a node without one: decides about its rollouts with the facts of this runtime, compiles the plan,
 * puts it in force and remembers both.
 *
 * Guarantees: a plan is compiled from statuses only, so a restart compiles the same one; a reconcile that is asked for
 * while one runs happens after it; a failed write of the memory is logged and tried again with the next change, or when
 * somebody asks whether it is saved, the plan in force is not touched by it.
 */
export class StandaloneController {
  readonly #parts: ControllerParts;
  #files: FolderState;
  #index: FolderIndex;
  #report: FolderReport = { state: 'none', problems: [] };
  #planProblems: readonly ManifestProblem[] = [];
  readonly #statuses: Map<ObjectKey, RolloutStatus>;
  readonly #decidedAt = new Map<ObjectKey, number>();
  #requests: { key: ObjectKey; request: RolloutRequest }[] = [];
  #woken = false;
  #closed = false;
  #cancelTimer = (): void => undefined;
  /** The files that the plan in force was compiled from. */
  #filesInForce: FolderState | undefined;
  #remembered: Promise<void> = Promise.resolve();
  /** The disk refused it. */
  #isUnsaved = false;

  readonly #onFolder = new Set<() => void>();
  readonly #metrics: MetricsOfRollouts;
  readonly #stopMetrics: () => void;

  constructor(parts: ControllerParts, memory: StandaloneMemory | undefined) {
    this.#parts = parts;
    this.#metrics = new MetricsOfRollouts(parts);
    this.#stopMetrics = this.#metrics.follow(() => this.wake());
    this.#files = memory?.files ?? {};
    this.#index = indexOf(this.#files);
    this.#statuses = new Map(Object.entries(memory?.rollouts ?? {})) as Map<ObjectKey, RolloutStatus>;
  }

  get files(): FolderState {
    return this.#files;
  }

  folderReport(): FolderReport {
    return { state: this.#report.state, problems: [...this.#report.problems, ...this.#planProblems] };
  }

  rollouts(): RolloutObject[] {
    return [...this.#index.rollouts.values()].map((rollout) => this.#withStatus(rollout));
  }

  rolloutOf(key: ObjectKey): RolloutObject {
    const found = this.#index.rollouts.get(key);
    if (found === undefined) throw new AdaptletError('MODEL_NOT_FOUND', `there is no AdapterRollout ${key}`);
    return this.#withStatus(found);
  }

  /** What a scan of the folder found; `unreadable` when the folder itself could not be read. */
  folderChanged(merged: Merged | { readonly unreadable: string }, folder: string): void {
    if ('unreadable' in merged) {
      const problem = { file: folder, line: 0, reason: `${merged.unreadable}; the last plan stays in force` };
      this.#report = { state: 'unreadable', problems: [problem] };
      for (const listener of this.#onFolder) listener();
      return;
    }
    const held = merged.held === '' ? [] : [{ file: folder, line: 0, reason: merged.held }];
    this.#report = { state: merged.held === '' ? 'ok' : 'held', problems: [...held, ...merged.problems] };
    for (const { file, line, reason } of this.#report.problems) {
      this.#parts.logger.warn({ file, line, reason }, 'manifest file is not used');
    }
    this.#setFiles(merged.state);
    this.reconcile();
    for (const listener of this.#onFolder) listener();
  }

  /** Calls the listener once a change of the folder is in force, or is known not to be. The result ends that. */
  onFolder(listener: () => void): () => void {
    this.#onFolder.add(listener);
    return () => this.#onFolder.delete(listener);
  }

  /**
   * Asks for a verb; resolves when it is decided, in force and remembered.
   * @throws VERB_REFUSED, MODEL_NOT_FOUND
   */
  async request(key: ObjectKey, verb: string): Promise<RolloutObject> {
    this.rolloutOf(key);
    const request = { verb, id: randomUUID() };
    this.#requests.push({ key, request });
    const refusal = this.reconcile().get(`${key} ${request.id}`);
    if (refusal !== undefined) throw new AdaptletError('VERB_REFUSED', `rollout ${key}: ${refusal}`);
    await this.#remembered;
    return this.rolloutOf(key);
  }

  /** True for an Adapter that a rollout serves, moves to or could go back to. */
  inUse(m: UserObject): boolean {
    if (m.kind !== 'Adapter') return false;
    const { uid } = m.metadata;
    return [...this.#statuses.values()].some((s) =>
      [s.stable, s.canary, ...s.history].some((bound) => bound?.uid === uid),
    );
  }

  /** Facts changed: decide again soon; many calls make one reconcile. */
  wake(): void {
    if (this.#woken || this.#closed) return;
    this.#woken = true;
    setImmediate(() => {
      this.#woken = false;
      if (!this.#closed) this.reconcile();
    });
  }

  /**
   * Decides about every rollout, and where something is decided anew puts another plan in force and remembers it.
   * Returns why requests were refused, by `key id`.
   */
  reconcile(): ReadonlyMap<string, string> {
    const requests = this.#requests;
    this.#requests = [];
    const refusals = new Map<string, string>();
    let nextMs = Number.POSITIVE_INFINITY;
    let isNew = this.#forgetRemoved();
    for (const key of this.#index.rollouts.keys()) {
      const asked = requests.filter((r) => r.key === key);
      for (const { request } of asked.length > 0 ? asked : [{ request: undefined }]) {
        const decided = this.#decideOne(this.rolloutOf(key), request);
        if (request !== undefined && decided.refused !== undefined)
          refusals.set(`${key} ${request.id}`, decided.refused);
        nextMs = Math.min(nextMs, decided.requeueAfterMs ?? Number.POSITIVE_INFINITY);
        isNew ||= decided.isNew;
      }
    }
    this.#setFiles(dropUnused(this.#files, (m) => this.inUse(m)));
    if (isNew || this.#files !== this.#filesInForce) this.#putInForce();
    this.#cancelTimer();
    if (Number.isFinite(nextMs)) this.#cancelTimer = this.#parts.clock.after(nextMs, () => this.wake());
    return refusals;
  }

  #putInForce(): void {
    const { runtime, apply, sessionSecret } = this.#parts;
    const manifests = objectsOf(this.#files).flatMap((m): Manifest[] => {
      if (m.kind === 'AdapterAnalysis') return [];
      return [m.kind === 'AdapterRollout' ? this.#withStatus(m) : m];
    });
    const { plan, problems } = compilePlan({ manifests, runtime, sessionSecret });
    this.#planProblems = [...problems, ...this.#foreign()].map((problem) => this.#locate(problem));
    this.#filesInForce = this.#files;
    apply(plan);
    this.#remembered = this.#remember();
  }

  /** Resolves to whether the disk has the plan in force; what it refused before is written again. */
  async saved(): Promise<boolean> {
    // A plan is written right after it is put in force: who asks within that waits for this one.
    await Promise.resolve();
    if (this.#isUnsaved) this.#remembered = this.#remember();
    await this.#remembered;
    return !this.#isUnsaved;
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
    this.#stopMetrics();
  }

  #decideOne(rollout: RolloutObject, request: RolloutRequest | undefined) {
    const { clock, logger, node } = this.#parts;
    const key = keyOf(rollout);
    const now = clock.monotonic();
    const elapsedMs = now - (this.#decidedAt.get(key) ?? now);
    const facts = {
      ...factsOf(rollout, this.#index.adapters, node),
      measured: (id: string, number: number) => this.#metrics.result(id, number),
      analysis: (name: string) => this.#analysis(objectKey(rollout.metadata.namespace, name)),
    };
    const { status, events, wanted, requeueAfterMs } = decide({
      rollout,
      facts,
      now: clock.now(),
      elapsedMs,
      request,
    });
    this.#statuses.set(key, status);
    this.#decidedAt.set(key, now);
    this.#metrics.want(key, status, wanted);
    for (const { reason, message } of events) logger.info({ rollout: key, reason, message }, 'rollout');
    const refused = events.find((e) => e.reason === 'RequestRefused')?.message;
    return { requeueAfterMs, refused, isNew: status !== rollout.status };
  }

  #analysis(key: ObjectKey): AnalysisFact | undefined {
    const object = this.#index.analyses.get(key);
    return object && { uid: object.metadata.uid, generation: object.metadata.generation, spec: object.spec };
  }

  #setFiles(files: FolderState): void {
    if (files === this.#files) return;
    this.#files = files;
    this.#index = indexOf(files);
  }

  #withStatus(rollout: RolloutObject): RolloutObject {
    const status = this.#statuses.get(keyOf(rollout));
    return status === undefined ? rollout : { ...rollout, status };
  }

  /** In a cluster another node may have that base model; in a folder for this one node it is most likely a slip. */
  #foreign(): Pick<PlanProblem, 'kind' | 'key' | 'reason'>[] {
    const { baseModel } = this.#parts.runtime;
    return [...this.#index.adapters].flatMap(([key, { kind, spec }]) => {
      if (spec.baseModel === baseModel) return [];
      const reason = `is for the base model ${spec.baseModel}, this runtime has ${baseModel}: it is not served here`;
      return [{ kind, key, reason }];
    });
  }

  /** True when there was something to forget. */
  #forgetRemoved(): boolean {
    const removed = [...this.#statuses.keys()].filter((key) => !this.#index.rollouts.has(key));
    for (const key of removed) {
      this.#statuses.delete(key);
      this.#decidedAt.delete(key);
      this.#metrics.want(key, undefined, []);
    }
    return removed.length > 0;
  }

  #locate({ kind, key, reason }: Pick<PlanProblem, 'kind' | 'key' | 'reason'>): ManifestProblem {
    return { file: this.#index.fileOf(kind, key), line: 0, reason: `${key}: ${reason}` };
  }

  async #remember(): Promise<void> {
    const value: StandaloneMemory = {
      files: Object.fromEntries(Object.entries(this.#files).map(([file, objects]) => [file, [...objects]])),
      rollouts: Object.fromEntries(this.#statuses),
    };
    try {
      await this.#parts.memory.write(value);
      this.#isUnsaved = false;
    } catch (error) {
      this.#isUnsaved = true;
      this.#parts.logger.error(
        { err: error },
        'the plan in force could not be written to disk; a restart would use an older one',
      );
    }
  }
}
