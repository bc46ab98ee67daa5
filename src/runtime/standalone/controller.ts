import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { Manifest, RolloutObject } from '../../api/objects.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { compilePlan } from '../../plan/compile.ts';
import type { Plan } from '../../plan/resources.ts';
import { decide } from '../../rollout/decide.ts';
import type { RolloutRequest } from '../../rollout/request.ts';
import type { Clock } from '../../time/clock.ts';
import type { ManifestProblem } from '../serving/serving.ts';
import type { StandaloneMemory } from '../state/memory.ts';
import type { StateFile } from '../state/state-file.ts';
import { type AdapterState, factsOf } from './facts.ts';
import { dropUnused, type FolderState, type Merged, objectsOf } from './folder-state.ts';

export type ControllerParts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly runtime: { readonly baseModel: string; readonly labels: Readonly<Record<string, string>> };
  readonly memory: Pick<StateFile<StandaloneMemory>, 'write'>;
  /** State of an Adapter here; undefined while the plan does not hold it. */
  readonly adapter: (key: ObjectKey) => AdapterState | undefined;
  readonly holds: (
    rolloutUid: string,
  ) => readonly { readonly canaryDigest: string; readonly reason: string }[];
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
 * while one runs happens after it; a failed write of the memory is logged and tried again with the next change, the
 * plan in force is not touched by it.
 */
export class StandaloneController {
  readonly #parts: ControllerParts;
  #files: FolderState;
  #report: FolderReport = { state: 'none', problems: [] };
  #planProblems: readonly ManifestProblem[] = [];
  readonly #statuses: Map<ObjectKey, RolloutStatus>;
  readonly #decidedAt = new Map<ObjectKey, number>();
  #requests: { key: ObjectKey; request: RolloutRequest }[] = [];
  #woken = false;
  #closed = false;
  #cancelTimer = (): void => undefined;
  #written = '';

  constructor(parts: ControllerParts, memory: StandaloneMemory | undefined) {
    this.#parts = parts;
    this.#files = memory?.files ?? {};
    this.#statuses = new Map(Object.entries(memory?.rollouts ?? {})) as Map<ObjectKey, RolloutStatus>;
  }

  get files(): FolderState {
    return this.#files;
  }

  folderReport(): FolderReport {
    return { state: this.#report.state, problems: [...this.#report.problems, ...this.#planProblems] };
  }

  rollouts(): RolloutObject[] {
    return this.#objects().filter((m) => m.kind === 'AdapterRollout');
  }

  rolloutOf(key: ObjectKey): RolloutObject {
    const found = this.rollouts().find((r) => keyOf(r) === key);
    if (found === undefined) throw new AdaptletError('MODEL_NOT_FOUND', `there is no AdapterRollout ${key}`);
    return found;
  }

  /** What a scan of the folder found; `unreadable` when the folder itself could not be read. */
  folderChanged(merged: Merged | { readonly unreadable: string }, folder: string): void {
    if ('unreadable' in merged) {
      const problem = { file: folder, line: 0, reason: `${merged.unreadable}; the last plan stays in force` };
      this.#report = { state: 'unreadable', problems: [problem] };
      return;
    }
    const held = merged.held === '' ? [] : [{ file: folder, line: 0, reason: merged.held }];
    this.#report = { state: merged.held === '' ? 'ok' : 'held', problems: [...held, ...merged.problems] };
    for (const { file, line, reason } of this.#report.problems) {
      this.#parts.logger.warn({ file, line, reason }, 'manifest file is not used');
    }
    this.#files = merged.state;
    this.reconcile();
  }

  /** Asks for a verb; resolves when it is decided, in force and remembered. Errors: VERB_REFUSED, MODEL_NOT_FOUND. */
  async request(key: ObjectKey, verb: string): Promise<RolloutObject> {
    this.rolloutOf(key);
    const request = { verb, id: randomUUID() };
    this.#requests.push({ key, request });
    const refusal = this.reconcile().get(`${key} ${request.id}`);
    if (refusal !== undefined) throw new AdaptletError('VERB_REFUSED', `rollout ${key}: ${refusal}`);
    await this.#remember();
    return this.rolloutOf(key);
  }

  /** True for an Adapter that a rollout serves, moves to or could go back to. */
  inUse(m: Manifest): boolean {
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

  /** Decides about every rollout and puts the plan in force. Returns why requests were refused, by `key id`. */
  reconcile(): ReadonlyMap<string, string> {
    const { clock, runtime, apply } = this.#parts;
    const requests = this.#requests;
    this.#requests = [];
    const refusals = new Map<string, string>();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const rollout of this.rollouts()) {
      const key = keyOf(rollout);
      const asked = requests.filter((r) => r.key === key);
      for (const { request } of asked.length > 0 ? asked : [{ request: undefined }]) {
        const { requeueAfterMs, refused } = this.#decideOne(this.rolloutOf(key), request);
        if (request !== undefined && refused !== undefined) refusals.set(`${key} ${request.id}`, refused);
        nextMs = Math.min(nextMs, requeueAfterMs ?? Number.POSITIVE_INFINITY);
      }
    }
    this.#forgetRemoved();
    this.#files = dropUnused(this.#files, (m) => this.inUse(m));
    const { plan, problems } = compilePlan({ manifests: this.#objects(), runtime });
    this.#planProblems = [...problems, ...this.#foreign()].map((problem) => this.#locate(problem));
    apply(plan);
    void this.#remember();
    this.#cancelTimer();
    if (Number.isFinite(nextMs)) this.#cancelTimer = clock.after(nextMs, () => this.wake());
    return refusals;
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
  }

  #decideOne(rollout: RolloutObject, request: RolloutRequest | undefined) {
    const { clock, logger } = this.#parts;
    const key = keyOf(rollout);
    const now = clock.monotonic();
    const elapsedMs = now - (this.#decidedAt.get(key) ?? now);
    const facts = factsOf(rollout, this.#objects(), this.#parts);
    const decision = decide({ rollout, facts, now: clock.now(), elapsedMs, request });
    this.#statuses.set(key, decision.status);
    this.#decidedAt.set(key, now);
    for (const { reason, message } of decision.events)
      logger.info({ rollout: key, reason, message }, 'rollout');
    const refused = decision.events.find((e) => e.reason === 'RequestRefused')?.message;
    return { requeueAfterMs: decision.requeueAfterMs, refused };
  }

  /** Every object, rollouts with their status. */
  #objects(): Manifest[] {
    return objectsOf(this.#files).map((m) => {
      if (m.kind !== 'AdapterRollout') return m;
      const status = this.#statuses.get(keyOf(m));
      return status === undefined ? m : { ...m, status };
    });
  }

  /** In a cluster another node may have that base model; in a folder for this one node it is most likely a slip. */
  #foreign(): { readonly key: string; readonly reason: string }[] {
    const { baseModel } = this.#parts.runtime;
    return this.#objects().flatMap((m) => {
      if (m.kind !== 'Adapter' || m.spec.baseModel === baseModel) return [];
      const reason = `is for the base model ${m.spec.baseModel}, this runtime has ${baseModel}: it is not served here`;
      return [{ key: keyOf(m), reason }];
    });
  }

  #forgetRemoved(): void {
    const present = new Set(this.rollouts().map((r) => keyOf(r)));
    for (const key of this.#statuses.keys()) if (!present.has(key)) this.#statuses.delete(key);
  }

  #locate(problem: { readonly key: string; readonly reason: string }): ManifestProblem {
    const file = Object.entries(this.#files).find(([, objects]) =>
      objects.some((m) => keyOf(m) === problem.key),
    )?.[0];
    return { file: file ?? '', line: 0, reason: `${problem.key}: ${problem.reason}` };
  }

  async #remember(): Promise<void> {
    const value = {
      files: structuredClone(this.#files),
      rollouts: Object.fromEntries(this.#statuses),
    } as StandaloneMemory;
    const text = JSON.stringify(value);
    if (text === this.#written) return;
    this.#written = text;
    try {
      await this.#parts.memory.write(value);
    } catch (error) {
      this.#written = '';
      this.#parts.logger.error(
        { error },
        'the plan in force could not be written to disk; a restart would use an older one',
      );
    }
  }
}

const keyOf = (m: Manifest): ObjectKey => objectKey(m.metadata.namespace, m.metadata.name);
