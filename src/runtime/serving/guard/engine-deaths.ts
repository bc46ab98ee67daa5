import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { versionKey } from './holds.ts';

/**
 * Whom an end of the engine was charged to. It may be nobody's fault: each version is charged with one failure for it, and none
 * where an input is known to end the engine whoever is to answer it.
 */
export class EngineDeaths {
  readonly #charged = new Set<string>();
  #isOfInput = false;

  /** The engine ended; `isOfInput`: by an input. */
  died(isOfInput: boolean): void {
    this.#charged.clear();
    this.#isOfInput = isOfInput;
  }

  /** True when the error says nothing about whoever was asked: an input ended the engine. */
  excuses(error: unknown): boolean {
    return this.#isOfInput && error instanceof AdaptletError && error.code === 'ENGINE_DOWN';
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
