import type { RolloutStatus } from '../../src/api/rollout-status.ts';
import { keyOfObject } from '../../src/kube/client/object.ts';
import { begunBetween } from './group-transition.ts';
import { History } from './histories.ts';
import type { SoakRollout } from './names.ts';
import { type Moment, Pauses } from './pauses.ts';
import type { Stage } from './stage.ts';
import { wrongIn } from './transition.ts';
import { type Rollout, watchRollouts, writtenAt } from './watch.ts';

/** Why a rollout of tenants may be given up: all of their canaries are good. */
const byHand = /^(aborted by hand|rolled back by hand)/;

/** Looks at every status of every rollout. */
export class Follower {
  /** `revisions`: decisions that changed something. `gaps`: statuses before which some may have been missed. */
  readonly counts = {
    statuses: 0,
    revisions: 0,
    steps: 0,
    /** Groups that began. */
    groups: 0,
    pausesJudged: 0,
    promoted: 0,
    aborted: 0,
    /** More runtimes than may fail did not have the canary in time, one at least of those that tell the truth. */
    abortedLate: 0,
    superseded: 0,
    gaps: 0,
  };
  readonly #stage: Stage;
  readonly #rollouts: ReadonlyMap<string, SoakRollout>;
  readonly #histories = new Map<string, History>();
  readonly #pauses = new Map<string, Pauses>();
  /** By uid. */
  readonly #last = new Map<string, RolloutStatus>();
  #epoch = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#rollouts = new Map(stage.rollouts.map((rollout) => [rollout.key, rollout]));
  }

  run(signal: AbortSignal): Promise<void> {
    return watchRollouts(this.#stage.api, (rollout, isNext) => this.#see(rollout, isNext), signal);
  }

  /** Undefined before it has a status. */
  history({ key }: Pick<SoakRollout, 'key'>): History | undefined {
    return this.#histories.get(key);
  }

  #see({ metadata, status }: Rollout, isNext: boolean): void {
    if (status === undefined) return;
    const key = keyOfObject({ metadata });
    const rollout = this.#rollouts.get(key);
    const before = this.#last.get(metadata.uid);
    const isSame = before !== undefined && before.revision === status.revision;
    this.#last.set(metadata.uid, status);
    this.counts.statuses++;
    const epoch = status.leaderEpoch ?? 0;
    if (epoch > this.#epoch) {
      this.#epoch = epoch;
      this.#stage.story.tell(`term ${epoch} leads`);
    }
    // What the noisy tenant has is looked at by nobody but the operator.
    if (rollout === undefined) return;
    const { story } = this.#stage;
    if (!isNext && before !== undefined && !isSame) this.counts.gaps++;
    const history = this.#histories.get(key) ?? new History(metadata.uid);
    this.#histories.set(key, history);
    history.add(story.now(), status, isNext || isSame);
    const at = { seen: story.now(), written: writtenAt({ metadata }) };
    if (rollout.groups === undefined) this.#seePause(rollout, at, status, isNext);
    if (before === undefined) return;
    const wrong = wrongIn({ before, after: status, steps: rollout.steps, isNext });
    this.counts.groups += status.revision === before.revision ? 0 : begunBetween(before, status);
    if (wrong !== undefined) story.violated('step', `${key}: ${wrong}: ${brief(before)} => ${brief(status)}`);
    this.#count(before, status);
    const { abort, failures = [] } = status;
    if (abort === undefined || abort.at === before.abort?.at || byHand.test(abort.reason)) return;
    const isHonest = (runtime: string): boolean =>
      this.#stage.honest.some(({ namespace, name }) => `${namespace}/${name}` === runtime) ||
      /\/node-\d+$/.test(runtime);
    const isLate = failures.some(({ runtime, reason }) => reason === 'NotReadyInTime' && isHonest(runtime));
    if (isLate) {
      this.counts.abortedLate++;
      story.tell(`${key} was given up: ${abort.reason}`);
    } else story.violated('abort', `${key} was given up: ${abort.reason}; ${JSON.stringify(failures)}`);
  }

  #seePause({ key, steps }: SoakRollout, at: Moment, status: RolloutStatus, isNext: boolean): void {
    const { story, calm } = this.#stage;
    const things = ['api server', 'operators', 'machine'];
    const pauses = this.#pauses.get(key) ?? new Pauses(steps, (from, to) => calm.isCalm(things, from, to));
    this.#pauses.set(key, pauses);
    const before = pauses.judged;
    const wrong = pauses.see(at, status, isNext);
    this.counts.pausesJudged += pauses.judged - before;
    if (wrong !== undefined) story.violated('step', `${key}: ${wrong}: ${brief(status)}`);
  }

  #count(before: RolloutStatus, after: RolloutStatus): void {
    if (after.revision === before.revision) return;
    this.counts.revisions++;
    if (after.canary?.attempt === before.canary?.attempt && after.step?.index !== before.step?.index)
      this.counts.steps++;
    if (after.stable?.uid !== before.stable?.uid) this.counts.promoted++;
    if (after.abort !== undefined && before.abort === undefined) this.counts.aborted++;
    if (after.completionStatus === 'Superseded' && before.completionStatus !== 'Superseded')
      this.counts.superseded++;
  }
}

const brief = (status: RolloutStatus): string =>
  JSON.stringify({
    revision: status.revision,
    epoch: status.leaderEpoch,
    phase: status.phase,
    stable: status.stable?.adapter,
    canary: status.canary?.adapter,
    attempt: status.canary?.attempt,
    weight: status.weights.canary,
    step: status.step,
    abort: status.abort?.reason,
    completion: status.completionStatus,
    request: status.lastHandledRequest,
  });
