import type { Digest } from '../../api/names.ts';
import { asAdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { Requirement } from '../../signature/requirement.ts';
import type { Core } from './core.ts';
import type { Entry } from './entry.ts';
import { servesNow } from './facts.ts';
import { withLimit } from './limit.ts';
import type { Ram } from './ram.ts';

const markOf = (digest: Digest, { version }: Requirement): string => `${digest} ${version}`;

/** No requirement has this version. */
const unknown = '';

/**
 * Whether adapters are signed as the plan in force asks.
 *
 * Guarantee: nothing becomes Resident that was not verified for its content and for what is asked by then; what is Resident
 * leaves RAM when what is kept of its signatures does not do any more, before anybody is asked for others.
 */
export class Signatures {
  readonly #core: Core;
  readonly #ram: Ram;

  constructor(core: Core, ram: Ram) {
    this.#core = core;
    this.#ram = ram;
  }

  /** It was verified for its present content and requirement. */
  isFine(entry: Entry): boolean {
    let requirement: Requirement | undefined;
    try {
      requirement = this.#core.requirementFor(entry.resource);
    } catch {
      // `check` throws the same.
      return false;
    }
    if (requirement === undefined) return true;
    return entry.digest !== undefined && entry.signedFor === markOf(entry.digest, requirement);
  }

  /**
   * Verifies by what is kept on the disk; false when that does not do.
   * @throws AdaptletError STORE_*
   */
  async isKept(entry: Entry, digest: Digest): Promise<boolean> {
    return (await this.refusal(entry, digest)) === undefined;
  }

  /**
   * Why what is kept on the disk does not do; undefined: it does.
   * @throws AdaptletError STORE_*
   */
  async refusal(entry: Entry, digest: Digest): Promise<string | undefined> {
    try {
      await this.#check(entry, digest, undefined);
      return undefined;
    } catch (error) {
      const { code, what } = asAdaptletError(error, 'verifying signatures');
      if (code.startsWith('SIGNATURE_')) return `${code}: ${what}`;
      throw error;
    }
  }

  /**
   * Verifies by what is kept on the disk, else by what the source has.
   * @throws AdaptletError SIGNATURE_*, FETCH_STALLED, those of registries and stores
   */
  async check(entry: Entry, digest: Digest, signal: AbortSignal): Promise<void> {
    const { clock, fetchStallMs = 60_000 } = this.#core.options;
    const what = `the signatures of adapter ${entry.key} did not come`;
    const limit = { clock, ms: fetchStallMs, code: 'FETCH_STALLED', what } as const;
    await withLimit(limit, signal, (inner) => this.#check(entry, digest, inner));
  }

  async #check(entry: Entry, digest: Digest, signal: AbortSignal | undefined): Promise<void> {
    entry.unsignedFor = unknown;
    const requirement = this.#core.requirementFor(entry.resource);
    if (requirement === undefined) return;
    const mark = markOf(digest, requirement);
    if (entry.signedFor === mark) return;
    entry.unsignedFor = requirement.version;
    await this.#core.options.artifacts.checkSigned(entry.wish, digest, requirement, signal);
    entry.signedFor = mark;
  }

  /**
   * Another plan is in force: what serves and is not signed as it asks serves no more, and drains. Gives the adapters that were refused for what
   * another plan had asked.
   */
  follow(): readonly Entry[] {
    const again: Entry[] = [];
    for (const entry of this.#core.entries.values()) {
      const { state } = entry;
      if (entry.digest !== undefined && servesNow(this.#core, entry) && !this.isFine(entry))
        void this.#look(entry, entry.digest);
      if (state.kind === 'Failed' && state.failure.code.startsWith('SIGNATURE_') && this.#isOther(entry))
        again.push(entry);
    }
    return again;
  }

  #isOther(entry: Entry): boolean {
    let version: string;
    try {
      version = this.#core.requirementFor(entry.resource)?.version ?? 'nothing';
    } catch {
      version = unknown;
    }
    return version !== entry.unsignedFor;
  }

  async #look(entry: Entry, digest: Digest): Promise<void> {
    try {
      await this.#check(entry, digest, undefined);
    } catch (error) {
      if (this.isFine(entry)) return;
      const { key, state } = entry;
      // Who asks for it does not bring it back.
      entry.wasResident = false;
      if (state.kind !== 'Resident') return this.#core.noted();
      this.#core.options.logger.warn(
        { err: error, key },
        'an adapter is not signed any more as it has to be',
      );
      // Its source is asked as it is loaded again, if anybody wants it.
      this.#ram.drain(entry, errorCodeOf(error));
    }
  }
}
