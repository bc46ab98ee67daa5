import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import type { EngineDeath } from './deadly-inputs.ts';
import { versionKey } from './holds.ts';

/** Ends in a row that a version is excused for because inputs of other namespaces may have been why. */
const maxExcused = 3;
/** Milliseconds after which ends are in a row no more. */
const inARowMs = 600_000;

/** A version that was asked, and the rollout that chose it. */
export type AskedVersion = {
  readonly namespace: string;
  readonly rolloutUid: string;
  readonly digest: Digest;
};

type Excused = { count: number; at: number; inThisDeath: boolean };

/**
 * Whom an end of the engine was charged to. It may be nobody's fault: each version is charged with one failure for it, and none
 * where an input is known to end the engine whoever is to answer it.
 *
 * Nor is one charged while it may have been an input of another namespace and none of its own. A version that ends the engine
 * while it answers would never be found so on a busy node, so it is excused three times within ten minutes.
 */
export class EngineDeaths {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #charged = new Set<string>();
  readonly #excused = new Map<string, Excused>();
  #death: EngineDeath = { isOfInput: false, suspects: new Set() };

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** The engine ended. */
  died(death: EngineDeath): void {
    this.#charged.clear();
    this.#death = death;
    const now = this.#clock.monotonic();
    for (const [key, excused] of this.#excused) {
      excused.inThisDeath = false;
      if (now - excused.at >= inARowMs) this.#excused.delete(key);
    }
  }

  /** True when the error says nothing about the version that was asked: an input ended the engine, or may have. */
  excuses(error: unknown, asked: AskedVersion): boolean {
    if (!(error instanceof AdaptletError) || error.code !== 'ENGINE_DOWN') return false;
    const { isOfInput, suspects } = this.#death;
    if (isOfInput) return true;
    if (suspects.size === 0 || suspects.has(asked.namespace)) return false;
    const key = versionKey(asked.rolloutUid, asked.digest);
    const at = this.#clock.monotonic();
    const excused = this.#excused.get(key) ?? { count: 0, at, inThisDeath: false };
    // Of one end it may have several requests.
    if (!excused.inThisDeath) {
      if (excused.count >= maxExcused) return false;
      this.#excused.set(key, { count: excused.count + 1, at, inThisDeath: true });
    }
    return true;
  }

  /** True when this error counts. False: it is of a death that the version was charged with before. */
  charge(rolloutUid: string, digest: Digest, error: unknown): boolean {
    if (!(error instanceof AdaptletError) || error.code !== 'ENGINE_DOWN') return true;
    const key = versionKey(rolloutUid, digest);
    if (this.#charged.has(key)) return false;
    this.#charged.add(key);
    return true;
  }
}
