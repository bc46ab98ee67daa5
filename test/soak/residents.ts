import { AdaptletError } from '../../src/errors/adaptlet-error.ts';
import type { EngineClient } from '../../src/runtime/engine/client/client.ts';
import type { Seeded } from '../support/random.ts';
import type { Report } from './report.ts';

/** An adapter in the memory of the engine under test. */
export type Resident = { readonly adapter: string; readonly engineName: string };

export type ResidentsParts = {
  readonly engine: EngineClient;
  /** Compiled files by adapter. */
  readonly files: ReadonlyMap<string, string>;
  /** Adapters that are in memory at the same time; fewer than there are. */
  readonly places: number;
  /** Largest difference of the logits that the probe of each adapter finds on a quiet engine. */
  readonly probes: ReadonlyMap<string, number>;
  /** Takes memory that nobody uses until only this much is left for adapters. */
  readonly roomBytes?: number;
  readonly random: Seeded;
  readonly report: Report;
};

/** Loads after which memory counts as endless. */
const mostBallast = 500;

/**
 * Loads and unloads adapters as residency does: under a name of its own for each load; an unload takes the name away
 * at once, while answers that use the adapter go on, and the next load may take the memory that it frees.
 */
export class Residents {
  readonly #parts: ResidentsParts;
  readonly #loaded = new Map<string, Resident>();
  readonly #users = new Map<string, number>();
  readonly #unloading = new Set<Promise<void>>();
  #serial = 0;
  #memoryIsFull = false;
  /** The process whose memory is crowded. */
  #crowded: number | undefined;

  constructor(parts: ResidentsParts) {
    this.#parts = parts;
  }

  /** Those that can be asked. */
  get all(): readonly Resident[] {
    return [...this.#loaded.values()];
  }
  /** No place or no memory is left. */
  get full(): boolean {
    return this.#memoryIsFull || this.#loaded.size >= this.#parts.places;
  }

  /** An answer of it is on its way until the result is called. */
  use({ engineName }: Resident): () => void {
    const users = this.#users;
    users.set(engineName, (users.get(engineName) ?? 0) + 1);
    return () => {
      const left = (users.get(engineName) ?? 1) - 1;
      if (left > 0) users.set(engineName, left);
      else users.delete(engineName);
    };
  }

  /** Another adapter takes the place of one that is loaded, if all places are taken. */
  async change(): Promise<void> {
    const { files, random } = this.#parts;
    const outside = [...files.keys()].filter((adapter) => !this.#loaded.has(adapter));
    if (this.#loaded.size >= this.#parts.places) this.#unload(random.pick(this.all));
    if (outside.length === 0) return;
    const adapter = random.pick(outside);
    try {
      await this.#crowd();
      await this.#load(adapter);
    } catch (error) {
      const code = error instanceof AdaptletError ? error.code : String(error);
      if (code === 'ADAPTER_MEMORY_FULL') await this.#makeRoom();
      else if (code !== 'ENGINE_DOWN') this.#unexpected('load', adapter, error);
    }
  }

  /** There are more bytes than places: one more adapter leaves. */
  async #makeRoom(): Promise<void> {
    const { random, report } = this.#parts;
    report.counts.memoryFull += 1;
    this.#memoryIsFull = true;
    if (this.all.length > 0) this.#unload(random.pick(this.all));
    if (this.#unloading.size > 0) await Promise.race(this.#unloading);
  }

  async #crowd(): Promise<void> {
    const { engine, files, roomBytes } = this.#parts;
    const { pid } = engine;
    const [ballast] = [...files.values()];
    if (roomBytes === undefined || ballast === undefined || pid === this.#crowded) return;
    let [taken, bytes] = [0, 0];
    const code = async (): Promise<string> => {
      try {
        ({ bytes } = await engine.load(`ballast#${taken}`, ballast));
        return 'none';
      } catch (error) {
        if (error instanceof AdaptletError && error.code === 'ADAPTER_MEMORY_FULL') return error.code;
        throw error;
      }
    };
    while (taken < mostBallast && (await code()) === 'none') taken += 1;
    for (let freed = 0; freed < roomBytes && taken > 0; freed += bytes) {
      taken -= 1;
      await engine.unload(`ballast#${taken}`);
    }
    this.#crowded = pid;
  }

  /** The engine process ended, and everything in it. */
  lost(): void {
    this.#loaded.clear();
    this.#memoryIsFull = false;
  }

  /** Resolves once everything that was to be unloaded is. */
  async settled(): Promise<void> {
    await Promise.all(this.#unloading);
  }

  async #load(adapter: string): Promise<void> {
    const { engine, files, random, report } = this.#parts;
    this.#serial += 1;
    const resident = { adapter, engineName: `${adapter}#${this.#serial}` };
    const { pid } = engine;
    await engine.load(resident.engineName, files.get(adapter) ?? '');
    report.counts.loads += 1;
    if (random.next() < 0.3) await this.#probe(resident);
    // What another process holds is not here.
    if (engine.pid === pid && engine.state === 'ready') this.#loaded.set(adapter, resident);
  }

  async #probe({ adapter, engineName }: Resident): Promise<void> {
    const { engine, probes, report } = this.#parts;
    const { finite, maxDifference } = await engine.probe(engineName);
    report.counts.probes += 1;
    const expected = probes.get(adapter) ?? NaN;
    if (finite && Math.abs(maxDifference - expected) <= report.epsilon) return;
    report.fail({
      kind: 'probe',
      what: `the probe of ${adapter} found ${maxDifference}, not ${expected}`,
      details: { adapter, engineName },
    });
  }

  #unload(resident: Resident): void {
    this.#loaded.delete(resident.adapter);
    const unloading = this.#unloaded(resident);
    this.#unloading.add(unloading);
    void unloading.finally(() => this.#unloading.delete(unloading));
  }

  async #unloaded({ adapter, engineName }: Resident): Promise<void> {
    const { engine, report } = this.#parts;
    if (this.#users.has(engineName)) report.counts.unloadsInUse += 1;
    try {
      await engine.unload(engineName);
      report.counts.unloads += 1;
    } catch (error) {
      if (error instanceof AdaptletError && error.code === 'ENGINE_DOWN') return;
      this.#unexpected('unload', adapter, error);
    }
  }

  #unexpected(call: string, adapter: string, error: unknown): void {
    this.#parts.report.fail({
      kind: 'unexpected error',
      what: `${call} of ${adapter}: ${String(error)}`,
      details: { adapter },
    });
  }
}
