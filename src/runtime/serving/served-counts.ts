import type { ObjectKey } from '../../api/names.ts';
import type { Arm } from './serving.ts';

/** Requests answered per rollout and arm since the runtime started; cumulative, so that reports may get lost. */
export class ServedCounts {
  readonly #counts = new Map<string, { stable: number; canary: number }>();

  add(rollout: ObjectKey, arm: Arm): void {
    const counts = this.#counts.get(rollout) ?? { stable: 0, canary: 0 };
    if (arm !== 'base') counts[arm]++;
    this.#counts.set(rollout, counts);
  }

  of(rollout: ObjectKey): { readonly stable: number; readonly canary: number } {
    return this.#counts.get(rollout) ?? { stable: 0, canary: 0 };
  }
}
