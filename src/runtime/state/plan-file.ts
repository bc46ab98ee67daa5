import { randomUUID } from 'node:crypto';
import { type FileHandle, open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  type HeldPlan,
  heldChangesSchema,
  heldChangesToJson,
  heldPlanSchema,
  heldPlanToJson,
  type ReadHeldPlan,
  withHeldChanges,
} from '../../control/held-plan.ts';
import { checked, withChecksum } from '../../disk/checked.ts';
import { syncFolder } from '../../disk/durable.ts';
import { errnoOf } from '../../errors/errno.ts';
import { isUnreadable, StateFile, type StateRead, unreadable } from './state-file.ts';

/** A smaller plan is written whole each time, in bytes. */
const leastBytes = 16 << 10;

const lineSchema = heldChangesSchema.extend({ journal: z.string(), line: z.int() });
type Line = z.output<typeof lineSchema>;

type Whole = {
  /** What the lines of the journal that belong to it begin with. */
  readonly id: string;
  readonly bytes: number;
  /** As it is on the disk, with the changes of the journal. */
  held: HeldPlan;
  /** Of the journal. */
  lines: number;
  journalBytes: number;
};

/**
 * The plan of an operator on the disk: `plan.json` as a whole, and in `plan.log` what changed since, a line for each
 * write. So a change of a large plan writes what changed. When the journal is as long as the plan it is begun anew.
 *
 * Writes run one after the other; of several that wait only the newest is written.
 */
export class PlanFile {
  readonly #folder: string;
  readonly #path: string;
  readonly #journal: string;
  readonly #file: StateFile<ReadHeldPlan, ReturnType<typeof heldPlanToJson>>;
  readonly #leastBytes: number;
  /** Undefined: the next write is whole. */
  #whole: Whole | undefined;
  #isWriting = false;
  #next: { held: HeldPlan; done: PromiseWithResolvers<void> } | undefined;

  /** @param least bytes of `plan.json` from which on changes are journalled */
  constructor(folder: string, least = leastBytes) {
    this.#folder = folder;
    this.#path = join(folder, 'plan.json');
    this.#journal = join(folder, 'plan.log');
    this.#file = new StateFile(this.#path, heldPlanSchema);
    this.#leastBytes = least;
  }

  /**
   * Reads what an earlier process wrote. Of a journal that is torn or damaged the lines before that hold; `problems`
   * says so, and the operator sends again what is missing.
   * @throws CONFIG_INVALID where a file is there and may not be read
   */
  async read(): Promise<StateRead<ReadHeldPlan>> {
    this.#whole = undefined;
    const read = await this.#file.read();
    if (read.kind !== 'value') return read;
    const { held, problems, journal: id } = read.value;
    if (id === '') return read;
    const { lines, bytes: journalBytes, lost, isTorn } = await this.#lines(id);
    const [first, ...more] = lines;
    const changed = first === undefined ? undefined : withHeldChanges(held, [first, ...more]);
    const now = changed?.held ?? held;
    const all = [...problems, ...(changed?.problems ?? [])];
    if (lost !== undefined) all.push(lost);
    if (all.length === 0 && !isTorn) {
      const { size: bytes } = await stat(this.#path);
      this.#whole = { id, bytes, held: now, lines: lines.length, journalBytes };
    }
    return { kind: 'value', value: { held: now, problems: all, journal: id } };
  }

  /** Resolves when this plan, or a newer one, is on the disk. `held.resources` are in the order of their keys. */
  write(held: HeldPlan): Promise<void> {
    this.#next ??= { held, done: Promise.withResolvers<void>() };
    this.#next.held = held;
    const { promise } = this.#next.done;
    if (!this.#isWriting) void this.#drain();
    return promise;
  }

  async #drain(): Promise<void> {
    this.#isWriting = true;
    while (this.#next !== undefined) {
      const { held, done } = this.#next;
      this.#next = undefined;
      try {
        if (!(await this.#append(held))) await this.#replace(held);
        done.resolve();
      } catch (error) {
        done.reject(error);
      }
    }
    this.#isWriting = false;
  }

  /** False: it has to be written as a whole. */
  async #append(held: HeldPlan): Promise<boolean> {
    const whole = this.#whole;
    if (whole === undefined || whole.bytes < this.#leastBytes) return false;
    const changes = heldChangesToJson(whole.held, held);
    const line = `${withChecksum({ journal: whole.id, line: whole.lines, ...changes })}\n`;
    const bytes = Buffer.byteLength(line);
    if (whole.journalBytes + bytes > whole.bytes) return false;
    // Until it is known what is there, nothing is appended to it.
    this.#whole = undefined;
    const isNew = whole.journalBytes === 0;
    await using handle = await open(this.#journal, isNew ? 'w' : 'a', 0o600);
    try {
      await handle.writeFile(line);
      await handle.datasync();
    } catch (error) {
      // A disk that is full takes a later line again where nothing of this one is left.
      if (await cut(handle, whole.journalBytes)) this.#whole = whole;
      throw error;
    }
    if (isNew) await syncFolder(this.#folder);
    this.#whole = { ...whole, held, lines: whole.lines + 1, journalBytes: whole.journalBytes + bytes };
    return true;
  }

  async #replace(held: HeldPlan): Promise<void> {
    this.#whole = undefined;
    const id = randomUUID();
    await this.#file.write(heldPlanToJson(held, id));
    // What is left of it belongs to another plan, and is not read.
    await rm(this.#journal, { force: true });
    const { size: bytes } = await stat(this.#path);
    this.#whole = { id, bytes, held, lines: 0, journalBytes: 0 };
  }

  async #lines(id: string): Promise<Journal> {
    const lines: Line[] = [];
    let bytes = 0;
    try {
      const text = await readFile(this.#journal, 'utf8');
      for (const line of text.split(/(?<=\n)/)) {
        // The process ended while it wrote it, and told nobody that it was written.
        if (!line.endsWith('\n')) return { lines, bytes, isTorn: true };
        const read = lineSchema.parse(checked(line));
        // A journal that its plan was written after.
        if (read.journal !== id && lines.length === 0) return { lines, bytes, isTorn: false };
        if (read.journal !== id || read.line !== lines.length) throw new Error('it is of another journal');
        lines.push(read);
        bytes += Buffer.byteLength(line);
      }
      return { lines, bytes, isTorn: false };
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return { lines, bytes, isTorn: false };
      const why = error instanceof Error ? error.message : String(error);
      if (isUnreadable(error)) throw unreadable(this.#journal, why, error);
      const lost = `plan.log: line ${lines.length + 1} and all after it are lost: ${why}`;
      return { lines, bytes, isTorn: false, lost };
    }
  }
}

type Journal = {
  readonly lines: readonly Line[];
  /** Of `lines`. */
  readonly bytes: number;
  /** There is more after `bytes`, which was never said to be written. */
  readonly isTorn: boolean;
  /** What could not be read. */
  readonly lost?: string;
};

/** Takes away what comes after `length`; false: that cannot be. */
const cut = async (handle: FileHandle, length: number): Promise<boolean> => {
  try {
    await handle.truncate(length);
    return true;
  } catch {
    return false;
  }
};
