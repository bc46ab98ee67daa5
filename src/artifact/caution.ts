import { join } from 'node:path';
import { errnoOf } from '../errors/errno.ts';
import type { StoreDisk } from './store-points.ts';

/**
 * Tidying up at the start of a store, which it can do without. A file says what is being tidied. Where it is still there the process
 * died in that, and this start tidies nothing: so of a node that dies in it every time, every other start opens the store.
 *
 * Guarantee: `run` never throws.
 */
export class Caution {
  /** What did not work, or was left out, for people. */
  readonly troubles: string[] = [];
  readonly #files: StoreDisk;
  readonly #path: string;
  #died: string | undefined;

  private constructor(files: StoreDisk, path: string, died: string | undefined) {
    this.#files = files;
    this.#path = path;
    this.#died = died;
    if (died !== undefined) this.troubles.push(`nothing is tidied up: the last process died in ${died}`);
  }

  static async open(files: StoreDisk, root: string): Promise<Caution> {
    const path = join(root, 'doing');
    try {
      return new Caution(files, path, (await files.readFile('caution.read', path)).toString('utf8'));
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      // Nothing, or nothing that could be read: then it is tidied up as usual.
      return new Caution(files, path, undefined);
    }
  }

  /** Resolves with whether the work was done. */
  async run(what: string, work: () => Promise<void>): Promise<boolean> {
    if (this.#died !== undefined) return false;
    try {
      await this.#noted(what);
      await work();
      await this.#files.remove('caution.remove', this.#path);
      return true;
    } catch (error) {
      this.troubles.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
  }

  /** Full disks are tidied up without a note. */
  async #noted(what: string): Promise<void> {
    try {
      await this.#files.writeFile('caution.write', this.#path, what);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      this.troubles.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** The store was open for long enough: the next start tidies up again. */
  async settle(): Promise<void> {
    if (this.#died === undefined) return;
    await this.#files.remove('caution.remove', this.#path);
    this.#died = undefined;
  }
}
