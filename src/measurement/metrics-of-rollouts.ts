import type { ObjectKey } from '../api/names.ts';
import type { RolloutStatus } from '../api/rollout-status.ts';
import type { MeasurementRequest, MeasurementResult } from '../rollout/analysis/measurement.ts';
import type { Clock } from '../time/clock.ts';
import { Measurements } from './measurements.ts';
import type { Measure, Variables } from './source.ts';

/** The metrics of rollouts that other servers have: asked for when a decision wants them, forgotten when it does not. */
export class MetricsOfRollouts {
  readonly #measurements: Measurements;
  readonly #wanted = new Map<ObjectKey, ReadonlySet<string>>();
  #changed: (key: ObjectKey) => void = () => undefined;

  constructor(parts: { readonly clock: Clock; readonly measure: Measure }) {
    this.#measurements = new Measurements({
      ...parts,
      changed: (id) => {
        for (const [key, ids] of this.#wanted) if (ids.has(id)) this.#changed(key);
      },
    });
  }

  /** Tells when there is a result for a rollout, until what is returned is called: that ends all measurements. */
  follow(changed: (key: ObjectKey) => void): () => void {
    this.#changed = changed;
    return () => this.#measurements[Symbol.dispose]();
  }

  /** All that the last decision about the rollout waits for. */
  want(key: ObjectKey, status: RolloutStatus | undefined, wanted: readonly MeasurementRequest[]): void {
    const before = this.#wanted.get(key);
    if (wanted.length === 0) this.#wanted.delete(key);
    else this.#wanted.set(key, new Set(wanted.map(({ id }) => id)));
    if (before !== undefined)
      this.#measurements.forget(new Set([...this.#wanted.values()].flatMap((ids) => [...ids])));
    const variables = variablesOf(key, status);
    for (const { id, number, source } of wanted) this.#measurements.ask(id, number, source, variables);
  }

  result(id: string, number: number): MeasurementResult | undefined {
    return this.#measurements.result(id, number);
  }
}

const variablesOf = (key: ObjectKey, status: RolloutStatus | undefined): Variables => {
  const [namespace = '', rollout = ''] = key.split('/');
  const { stable, canary } = status ?? {};
  return {
    namespace,
    rollout,
    ...(stable === undefined ? {} : { 'stable.adapter': stable.adapter, 'stable.digest': stable.digest }),
    ...(canary === undefined ? {} : { 'canary.adapter': canary.adapter, 'canary.digest': canary.digest }),
  };
};
