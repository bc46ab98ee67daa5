import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import { unlessAborted } from '../../time/unless-aborted.ts';
import type { Core } from './core.ts';
import type { Disk } from './disk.ts';
import type { EngineWatch } from './engine-watch.ts';
import { type Entry, engineNameOf } from './entry.ts';
import { isInRam } from './lifecycle.ts';
import type { PrioritySemaphore } from './priority-semaphore.ts';
import type { Ram, Refused } from './ram.ts';
import type { Signatures } from './signatures.ts';
import { examine, verdictKey } from './validation.ts';

/** Ends of the engine process during loads of one adapter after which it is taken for the cause. */
const maxEngineDeaths = 3;

/** Milliseconds after which it is told that a load goes on. A file of 50 MB takes less than a tenth of a second. */
const slowLoadMs = 10_000;

/** Codes of the engine that say: compile it again. */
const compiledUnusable: ReadonlySet<string> = new Set(['COMPILED_FILE_CORRUPT', 'COMPILED_FILE_STALE']);

export type LoaderParts = {
  readonly core: Core;
  readonly watch: EngineWatch;
  readonly disk: Disk;
  readonly ram: Ram;
  readonly loads: PrioritySemaphore;
  readonly signatures: Signatures;
  /** The adapter is Resident. */
  readonly arrived: (entry: Entry) => void;
  /** There is no room for it; it stays Compiled. */
  readonly noRoom: (entry: Entry, refused: Refused) => void;
  /** It may not be tried now; it stays where it is. */
  readonly notAdmitted: (entry: Entry, message: string) => void;
};

/** Brings one adapter as far as its goal asks, one state after the other; looks at the goal anew before each. */
export class Loader {
  readonly #parts: LoaderParts;

  constructor(parts: LoaderParts) {
    this.#parts = parts;
  }

  /**
   * Resolves at the goal, or where no room is.
   * @throws why the adapter is to be Failed, or the reason of `abort`
   */
  async run(entry: Entry): Promise<void> {
    const { disk } = this.#parts;
    // What was repaired in this run: nothing is repaired twice, so that every run ends.
    const repairs = new Set<string>();
    // Parked: it arrived, and was evicted before this line ran.
    while (!entry.reached && !entry.parked) {
      entry.abort.signal.throwIfAborted();
      if (!isInRam(entry.state) && entry.digest !== undefined) await disk.checkSigned(entry, entry.digest);
      if (!(await this.#isAdmitted(entry))) return;
      switch (entry.state.kind) {
        case 'Remote':
          if (!(await disk.store(entry, repairs))) return;
          break;
        case 'Failed':
          if (!(await (disk.has(entry) ? disk.compile(entry, repairs) : disk.store(entry, repairs)))) return;
          break;
        case 'Stored':
          if (!(await disk.compile(entry, repairs))) return;
          break;
        case 'Compiled':
          if (!(await this.#load(entry, repairs))) return;
          break;
        case 'Draining':
          await unlessAborted(entry.unloading?.promise ?? Promise.resolve(), entry.abort.signal);
          break;
        case 'Fetching':
        case 'Loaded':
        case 'Resident':
          throw new AdaptletError(
            'INTERNAL',
            `adapter ${entry.key} is ${entry.state.kind} between two steps`,
          );
      }
    }
    entry.abort.signal.throwIfAborted();
  }

  /** What compiles or loads it next may end this process: whether it may be tried is asked before, each time. */
  async #isAdmitted(entry: Entry): Promise<boolean> {
    const { admit } = this.#parts.core.options;
    const { state, digest, abort } = entry;
    const isNext = state.kind === 'Stored' || state.kind === 'Compiled' || state.kind === 'Failed';
    if (admit === undefined || digest === undefined || !isNext) return true;
    const refusal = await unlessAborted(admit(entry.uid, digest), abort.signal);
    if (refusal === undefined) return true;
    this.#parts.notAdmitted(entry, refusal);
    return false;
  }

  /** One try to come from Compiled to Resident; false when there is no room. The state says how far it came. */
  async #load(entry: Entry, repairs: Set<string>): Promise<boolean> {
    const { core, watch, ram, loads } = this.#parts;
    const { signal } = entry.abort;
    const { engine, budgetBytes } = core.options;
    await watch.ready(entry);
    await this.#predecessors(entry);
    if (entry.state.kind !== 'Compiled' || engine.state !== 'ready') return true;
    const bytes = entry.bytes ?? entry.state.compiled.ramBytes;
    if (bytes > budgetBytes) {
      throw new AdaptletError(
        'RESIDENCY_BUDGET',
        `adapter ${entry.key} needs ${bytes} bytes of RAM, the budget is ${budgetBytes} bytes`,
      );
    }
    const { life } = core;
    const reservation = await ram.reserve(entry, bytes);
    if (reservation.kind === 'unwanted') return true;
    if (reservation.kind === 'refused') {
      this.#parts.noRoom(entry, reservation);
      return false;
    }
    entry.note = '';
    try {
      await loads.run(entry, signal, async () => {
        // The engine ended while this waited for its place, and the reservation with it.
        if (core.life === life && engine.state === 'ready') await this.#intoEngine(entry, bytes, repairs);
      });
    } finally {
      if (!isInRam(entry.state)) ram.uncharge(entry);
    }
    return true;
  }

  /** A removed adapter of the same name and content leaves the engine first: both have one engine-side name. */
  async #predecessors(entry: Entry): Promise<void> {
    for (const other of this.#parts.core.retiring) {
      if (other.key !== entry.key || other.digest !== entry.digest) continue;
      await unlessAborted(other.removed.promise, entry.abort.signal);
    }
  }

  async #intoEngine(entry: Entry, reserved: number, repairs: Set<string>): Promise<void> {
    const { core, ram } = this.#parts;
    const { state, digest } = entry;
    const { life } = core;
    if (state.kind !== 'Compiled' || digest === undefined) return;
    const engineName = engineNameOf(entry.key, digest);
    let bytes: number;
    const loaded = this.#tellWhenSlow(entry, state.compiled.file);
    try {
      ({ bytes } = await core.options.engine.load(engineName, state.compiled.file));
    } catch (error) {
      if (await this.#engineEnded(entry, error, life)) return;
      if (!compiledUnusable.has(errorCodeOf(error)) || repairs.has('compiled')) throw error;
      repairs.add('compiled');
      core.options.logger.warn(
        { err: error, key: entry.key },
        'the compiled form of an adapter is built again',
      );
      await core.options.compiler.remove(digest);
      core.move(entry, { kind: 'CompiledLost', reason: errorCodeOf(error) });
      return;
    } finally {
      loaded();
    }
    // Loaded by a process that ended before this line ran.
    if (core.life !== life) return;
    core.move(entry, { kind: 'Loaded', engineName, ramBytes: bytes });
    entry.bytes = bytes;
    if (bytes > reserved) {
      // The engine needs more than its compiled file says: it comes back with the right reservation.
      await ram.unload(entry, {
        kind: 'Unloaded',
        reason: `needs ${bytes} bytes, reserved were ${reserved}`,
      });
      return;
    }
    entry.charge = bytes;
    if (entry.isForRequest) core.loadedForRequest(entry);
    await this.#validate(entry, engineName);
  }

  /** A disk that does not answer is no failure of the adapter; it answers again by itself, or never. Returns what ends the wait. */
  #tellWhenSlow(entry: Entry, file: string): () => void {
    const { core } = this.#parts;
    const { clock, logger } = core.options;
    const cancel = clock.after(slowLoadMs, () => {
      entry.note = `its load takes more than ${slowLoadMs / 1_000} s; loads follow each other: see in dmesg of the node whether the disk answers`;
      logger.warn({ key: entry.key, file }, 'the load of an adapter takes long; the disk may not answer');
      core.noted();
    });
    return () => {
      cancel();
      entry.note = '';
    };
  }

  async #validate(entry: Entry, engineName: string): Promise<void> {
    const { core, ram } = this.#parts;
    const { digest } = entry;
    const { life } = core;
    const { engine, clock, verdicts, stageLimitMs = 120_000 } = core.options;
    if (digest === undefined) return;
    try {
      entry.abort.signal.throwIfAborted();
      const { validation } = entry.resource.body;
      const key = verdictKey(digest, engine.info(), validation);
      const known = verdicts.get(key) !== undefined;
      if (!known) {
        await examine({ engine, clock, limitMs: stageLimitMs }, engineName, validation, entry.abort.signal);
        await this.#remember(entry, key);
      }
      if (core.life !== life) return;
      entry.abort.signal.throwIfAborted();
      if (!this.#parts.signatures.isFine(entry)) {
        await ram.unload(entry, { kind: 'Unloaded', reason: 'others have to have signed it now' });
        return;
      }
      core.move(entry, { kind: 'Passed', reason: known ? 'passed before' : 'passed its tests' });
    } catch (error) {
      if (await this.#engineEnded(entry, error, life)) return;
      await ram.unload(entry, { kind: 'Unloaded', reason: errorCodeOf(error) });
      throw error;
    }
    this.#parts.arrived(entry);
  }

  async #remember(entry: Entry, key: string): Promise<void> {
    const { verdicts, clock, logger } = this.#parts.core.options;
    try {
      await verdicts.set(key, new Date(clock.now()).toISOString());
    } catch (error) {
      // It passed; without the note the next load only examines it again.
      logger.warn({ err: error, key: entry.key }, 'a verdict could not be written');
    }
  }

  /**
   * True when the engine process ended under the adapter, which says nothing about it. Throws the error when that
   * happened again and again: one bad adapter must not keep the engine from living.
   */
  async #engineEnded(entry: Entry, error: unknown, life: number): Promise<boolean> {
    const { core, watch, ram } = this.#parts;
    if (errorCodeOf(error) !== 'ENGINE_DOWN') return core.life !== life;
    if (core.life === life) await watch.announced();
    if (isInRam(entry.state)) ram.lost(entry);
    entry.engineDeaths += 1;
    // A guess that may have ended it is not worth another end.
    if (entry.prefetch !== undefined) throw error;
    if (entry.engineDeaths < maxEngineDeaths) return true;
    const times = entry.engineDeaths;
    throw new AdaptletError(
      'ENGINE_DOWN',
      `the engine process ended ${times} times in a row while adapter ${entry.key} was being loaded`,
      {
        advice: 'It is tried again by itself; give the node more memory, or use another adapter.',
        cause: error,
      },
    );
  }
}
