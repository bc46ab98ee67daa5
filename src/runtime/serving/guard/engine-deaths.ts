import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import type { WorkAtEnd } from '../../engine/engine.ts';
import { dropFirst, type EngineDeath, maxLeft } from './deadly-inputs.ts';
import { versionKey } from './holds.ts';

/** Ends in a row, with other versions each time, that a version is excused for. */
const maxExcused = 3;
/** Milliseconds after which ends are in a row no more. */
const inARowMs = 600_000;

/** A version that was asked, by its name in the engine, and the rollout that chose it. */
export type AskedVersion = {
  readonly engineName: string;
  readonly rolloutUid: string;
  readonly arm: 'canary' | 'stable';
  readonly digest: Digest;
  /** It was out of service, and the request tries it. */
  readonly isTrial: boolean;
};

type Blamed = Pick<EngineDeath, 'isOfInput' | 'versions'>;

type Excused = { count: number; at: number; inThisDeath: boolean };

/**
 * Whom an end of the engine was charged to. It may be nobody's fault: a version is charged with one failure for it where the suspects
 * ran with that version alone, and none where an input is known to end the engine whoever is to answer it.
 *
 * This holds for requests whose callers left as well: the engine works on until its step ends. The last 10,000 are remembered.
 *
 * A version that ends the engine in steps that others share would never be found on a busy node. So it is excused for three such ends
 * in a row within ten minutes; one that it was not there at shows that it is another one's, and begins the row anew.
 */
export class EngineDeaths {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #charged = new Set<string>();
  /** By name in the engine. */
  readonly #excused = new Map<string, Excused>();
  /** Versions whose requests were left, by id of the request in the engine, which may work on it. */
  readonly #left = new Map<string, AskedVersion>();
  #death: Blamed = { isOfInput: false, versions: new Set() };

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** The engine ended. */
  died(death: Blamed): void {
    this.#charged.clear();
    this.#death = death;
    const now = this.#clock.monotonic();
    for (const [engineName, excused] of this.#excused) {
      excused.inThisDeath = false;
      if (!death.versions.has(engineName) || now - excused.at >= inARowMs) this.#excused.delete(engineName);
    }
  }

  /** The caller of a request left, whose answers have these ids in the engine. */
  left(ids: readonly string[], asked: AskedVersion): void {
    for (const id of ids) this.#left.set(id, asked);
    dropFirst(this.#left, maxLeft);
  }

  /** What was left of the work of an engine that ended: no request of it will fail. It is told once. */
  takeLeft(work: WorkAtEnd): readonly AskedVersion[] {
    const left = [...work].flatMap(([id, { engineName }]) => {
      const asked = this.#left.get(id);
      return asked?.engineName === engineName ? [asked] : [];
    });
    this.#left.clear();
    return left;
  }

  /** True when the error says nothing about the version that was asked: an input, or another version, ended the engine, or may have. */
  excuses(error: unknown, { engineName }: Pick<AskedVersion, 'engineName'>): boolean {
    if (!(error instanceof AdaptletError) || error.code !== 'ENGINE_DOWN') return false;
    const { isOfInput, versions } = this.#death;
    if (isOfInput || !versions.has(engineName)) return true;
    if (versions.size === 1) return false;
    const at = this.#clock.monotonic();
    const excused = this.#excused.get(engineName) ?? { count: 0, at, inThisDeath: false };
    // Of one end it may have several requests.
    if (!excused.inThisDeath) {
      if (excused.count >= maxExcused) return false;
      this.#excused.set(engineName, { count: excused.count + 1, at, inThisDeath: true });
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
