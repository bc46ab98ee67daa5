import { join } from 'node:path';
import { z } from 'zod';
import { type Digest, isDigest } from '../api/names.ts';
import { checked, withChecksum } from '../disk/checked.ts';
import { writeDurable } from '../disk/durable.ts';
import { nodeFiles } from '../disk/files.ts';
import { errnoOf } from '../errors/errno.ts';
import { Caution } from './caution.ts';
import { hexOf } from './digest.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import { asStoreError } from './store-files.ts';
import type { BesideStore } from './store-options.ts';
import type { StoreDisk } from './store-points.ts';

/** Bundles of one artifact, and characters of all of them together, that are kept at most. */
const maxBundles = 16;
const maxLength = 512 * 1024;

const keptSchema = z.object({ bundles: z.array(z.string()).max(maxBundles) });

const suffix = '.json';

const textsOf = (bundles: readonly Uint8Array[]): string[] =>
  bundles.map((bundle) => Buffer.from(bundle).toString('utf8'));

/**
 * Bundles of signatures beside the artifacts of a store, `signatures/<hex>.json`, so that a node verifies again without a
 * network. They are for all namespaces: what a bundle proves does not depend on who found it. Nothing here is trusted: it
 * is verified each time that it is read.
 *
 * Guarantee: what `keep` was given survives a power cut once that has resolved.
 */
export class KeptBundles {
  readonly #files: StoreDisk;
  readonly #folder: string;
  readonly #mutex = new KeyedMutex<Digest>();

  /** Clears away those of artifacts that are not stored. The caller owns the store. */
  static async open(
    root: string,
    stored: readonly Digest[],
    { files = nodeFiles, caution: given }: BesideStore = {},
  ): Promise<KeptBundles> {
    const caution = given ?? (await Caution.open(files, root));
    const folder = join(root, 'signatures');
    await files.mkdir('bundles.mkdir', folder);
    const isThere = new Set(stored);
    const foreign = (await files.names('bundles.list', folder)).filter((name) => {
      const digest = `sha256:${name.slice(0, -suffix.length)}`;
      return !name.endsWith(suffix) || !isDigest(digest) || !isThere.has(digest);
    });
    if (foreign.length > 0)
      await caution.run('signatures of what is gone', async () => {
        for (const name of foreign) await files.remove('bundles.remove-foreign', join(folder, name));
      });
    return new KeptBundles(files, folder);
  }

  private constructor(files: StoreDisk, folder: string) {
    this.#files = files;
    this.#folder = folder;
  }

  /** None of a file that is damaged: its source is asked again. */
  async of(digest: Digest): Promise<readonly Uint8Array[]> {
    return (await this.#read(digest)).map((text) => Buffer.from(text));
  }

  /**
   * The first ones are kept rather than those that are here, and these rather than the last ones.
   * @throws AdaptletError STORE_FULL, STORE_UNUSABLE
   */
  async keep(digest: Digest, first: readonly Uint8Array[], last: readonly Uint8Array[]): Promise<void> {
    await this.#mutex.runExclusive(digest, async () => {
      const all = new Set([...textsOf(first), ...(await this.#read(digest)), ...textsOf(last)]);
      let length = 0;
      const kept = [...all].filter((text) => (length += text.length) <= maxLength).slice(0, maxBundles);
      try {
        await writeDurable(this.#fileOf(digest), withChecksum({ bundles: kept }), {
          files: this.#files,
          at: (step) => `bundle.${step}` as const,
        });
      } catch (error) {
        throw asStoreError(error, `keeping the signatures of ${digest}`);
      }
    });
  }

  /** Nobody needs the artifact any more. */
  async drop(digest: Digest): Promise<void> {
    await this.#mutex.runExclusive(digest, () => this.#files.remove('bundle.remove', this.#fileOf(digest)));
  }

  #fileOf(digest: Digest): string {
    return join(this.#folder, `${hexOf(digest)}${suffix}`);
  }

  async #read(digest: Digest): Promise<readonly string[]> {
    let text: string;
    try {
      text = (await this.#files.readFile('bundles.read', this.#fileOf(digest))).toString('utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw asStoreError(error, `reading the signatures of ${digest}`);
    }
    try {
      return keptSchema.parse(checked(text)).bundles;
    } catch {
      return [];
    }
  }
}
