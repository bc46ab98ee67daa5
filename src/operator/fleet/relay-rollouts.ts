import type { ObjectKey } from '../../api/names.ts';
import type { RuntimeReport } from '../../gen/adaptlet/control/v1/control.ts';
import { newsOf } from './counts.ts';
import type { RolloutState, RuntimeKey, RuntimeState } from './fleet.ts';
import { type Part, runtimeToWire } from './to-wire.ts';

/**
 * What a relay told of rollouts, so that it need not tell counts and feedback again that the leader has. Of one stream: who
 * reads the next one may know nothing.
 *
 * Guarantee: what the leader knows of a rollout is what the store here has, once it took in what it was told; the order of weights
 * and of answers may be another one.
 */
export class ToldRollouts {
  /** As they were told last; those alone that have counts or feedback. They are the objects of the store. */
  readonly #told = new Map<RuntimeKey, Map<ObjectKey, RolloutState>>();

  /** A part of what is known of a runtime, without what was told. It counts as told. */
  newsOf(state: RuntimeState, part: Exclude<Part, 'Whole'>): RuntimeReport {
    const told = this.#told.get(state.key);
    const rollouts = new Map<ObjectKey, RolloutState>();
    const anew: ObjectKey[] = [];
    for (const key of part.rollouts) {
      const now = state.rollouts.get(key);
      if (now === undefined) continue;
      const news = newsOf(told?.get(key), now);
      rollouts.set(key, news ?? now);
      if (news === undefined) anew.push(key);
    }
    this.#keep(state, part.rollouts, told);
    const wire = runtimeToWire({ ...state, rollouts }, part);
    if (wire.report === undefined || anew.length === 0) return wire;
    return { ...wire, report: { ...wire.report, goneRollouts: [...wire.report.goneRollouts, ...anew] } };
  }

  /** Everything that is known of a runtime is told. */
  whole(state: RuntimeState): void {
    this.#keep(state, state.rollouts.keys(), undefined);
  }

  /** It is told that the runtime is gone. */
  gone(key: RuntimeKey): void {
    this.#told.delete(key);
  }

  #keep(
    { key: runtime, rollouts }: RuntimeState,
    keys: Iterable<ObjectKey>,
    told = new Map<ObjectKey, RolloutState>(),
  ): void {
    for (const key of keys) {
      const now = rollouts.get(key);
      if (now === undefined || now.counts.length + (now.elsewhere?.size ?? 0) === 0) told.delete(key);
      else told.set(key, now);
    }
    if (told.size === 0) this.#told.delete(runtime);
    else this.#told.set(runtime, told);
  }
}
