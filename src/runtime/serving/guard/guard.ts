import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import type { WorkAtEnd } from '../../engine/engine.ts';
import type { Hold } from '../../state/memory.ts';
import { CanaryGuards } from './canary-guards.ts';
import { ClassifyingStables } from './classifying-stables.ts';
import { DeadlyCallers } from './deadly-callers.ts';
import { DeadlyInputs } from './deadly-inputs.ts';
import { type AskedVersion, EngineDeaths } from './engine-deaths.ts';
import { type HoldChange, type Holds, recoversByItself, type Watched } from './holds.ts';
import type { Outcome } from './outcome.ts';
import { PendingRequests } from './pending-requests.ts';
import { StableBreakers } from './stable-breakers.ts';

export type GuardParts = {
  readonly clock: Clock;
  readonly holds: Holds;
  /** Called when a canary answered a request. */
  readonly answered?: (rolloutUid: string, digest: Digest) => void;
};

/**
 * What takes a version out of service on this node. Data flows one way: a request ends, `canaries` or `stables` counts it,
 * `holds` takes the version out of service, and who listens to the holds acts: requests that wait for it are cancelled.
 *
 * Guarantees: the next request after the one that trips a guard already goes elsewhere, and so do those that wait for
 * the canary. What is held survives a restart; what was counted does not.
 */
export class Guard {
  readonly holds: Holds;
  readonly canaries: CanaryGuards;
  readonly stables: StableBreakers;
  readonly classifying = new ClassifyingStables();
  readonly pending: PendingRequests;
  readonly inputs: DeadlyInputs;
  readonly callers: DeadlyCallers;
  readonly #deaths: EngineDeaths;

  constructor({ clock, holds, answered = () => undefined }: GuardParts) {
    const deaths = new EngineDeaths(clock);
    this.#deaths = deaths;
    this.inputs = new DeadlyInputs(clock);
    this.callers = new DeadlyCallers(clock);
    this.holds = holds;
    this.canaries = new CanaryGuards({ clock, holds, deaths, classifying: this.classifying, answered });
    this.stables = new StableBreakers({ clock, holds, deaths });
    this.pending = new PendingRequests(holds);
    holds.onChange((change) => this.#holdsChanged(change));
  }

  /** What keeps a version from serving now. None while a stable that failed may be tried again. */
  holdInForce(rolloutUid: string, digest: Digest): Hold | undefined {
    const hold = this.holds.get(rolloutUid, digest);
    if (hold === undefined || !recoversByItself(hold)) return hold;
    return this.stables.mayTry(rolloutUid, digest) ? undefined : hold;
  }

  /** Counts the end of a request. The result is how it ended, as far as the version that was asked is concerned. */
  recordResult(asked: AskedVersion, ended: Outcome, error: unknown): Outcome {
    const { rolloutUid, digest, arm, isTrial } = asked;
    const outcome = this.#deaths.excuses(error, asked) ? 'neutral' : ended;
    if (arm === 'canary') return this.canaries.recordResult(rolloutUid, digest, outcome, error);
    this.stables.recordResult(rolloutUid, digest, { outcome, isTrial }, error);
    return outcome;
  }

  /** The caller of a request left, whose answers have these ids in the engine: until its step ends it works on them. */
  left(ids: readonly string[], asked: AskedVersion): void {
    this.#deaths.left(ids, asked);
  }

  /** To be called right before its requests fail. Those that were left count behind them: a hold withdraws what has not begun. */
  engineDied(work: WorkAtEnd): void {
    const death = this.inputs.engineDied(work);
    if (!death.hasCanary) this.callers.engineDied(death.callers);
    this.#deaths.died(death);
    const left = this.#deaths.takeLeft(work);
    queueMicrotask(() => {
      for (const asked of left) this.recordResult(asked, 'failure', endedUnheard());
    });
  }

  /** The rollouts of the plan in force, by uid. */
  follow(rollouts: ReadonlyMap<string, Watched>): void {
    this.holds.follow(rollouts);
    this.canaries.follow(rollouts);
    this.classifying.follow(rollouts);
    this.stables.follow(rollouts);
    this.pending.follow(rollouts);
  }

  #holdsChanged(change: HoldChange): void {
    switch (change.kind) {
      case 'held':
        this.pending.cancel(change.hold.rolloutUid, change.hold.digest);
        this.callers.held(change.hold.digest);
        break;
      case 'recovered':
        // Its breaker remembers how often it was open.
        break;
      case 'superseded':
        this.canaries.forget(change.hold.rolloutUid, change.hold.digest);
        this.stables.forget(change.hold.rolloutUid, change.hold.digest);
        break;
      case 'released':
        this.canaries.forget(change.rolloutUid);
        this.stables.forget(change.rolloutUid);
        break;
    }
  }
}

const endedUnheard = (): AdaptletError =>
  new AdaptletError('ENGINE_DOWN', 'The engine ended while it worked on a request whose caller had left');
