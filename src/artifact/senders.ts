import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Digest, isDigest } from '../api/names.ts';
import { checked, withChecksum } from '../disk/checked.ts';
import { writeDurable } from '../disk/durable.ts';
import { nodeFiles } from '../disk/files.ts';
import { Caution } from './caution.ts';
import { hexOf } from './digest.ts';
import type { ContentStore } from './store.ts';
import { asStoreError } from './store-files.ts';
import type { BesideStore } from './store-options.ts';
import type { StoreDisk } from './store-points.ts';

/** What is known of a blob before its artifact is granted. */
type Senders = {
  /** What its partial file came from. */
  readonly begun?: string | undefined;
  /** What sent every byte of it. */
  readonly sent: readonly string[];
};

const schema = z.object({ begun: z.string().optional(), sent: z.array(z.string()) });

/** Blobs of which it is remembered what sent or began them; others are read again. */
const maxRemembered = 4096;
/** What is smaller is not worth a file: it is read again after a restart. */
const worthAFile = 1024 * 1024;

/** Milliseconds after which nobody waits for the rest. */
const keptMs = 14 * 24 * 3_600_000;

const suffix = '.json';

/**
 * Which sources sent or began blobs whose artifact is not granted yet: `senders/<hex>.json` for the large ones, so that the next process
 * goes on where this one ended.
 *
 * Guarantee: what is said to be begun by a source has no byte of another, also after a power cut.
 */
export class BlobSenders {
  readonly #files: StoreDisk;
  readonly #folder: string;
  readonly #known: Map<Digest, Senders>;
  readonly #leastBytes: number;

  /**
   * Reads what the last process knew, of the blobs that are still here. What was begun long before `now` is forgotten.
   * @param leastBytes of a blob that is worth a file
   */
  static async open(
    root: string,
    store: Pick<ContentStore, 'bytesHere'>,
    now: number,
    {
      files = nodeFiles,
      caution: given,
      leastBytes = worthAFile,
    }: BesideStore & { leastBytes?: number } = {},
  ): Promise<BlobSenders> {
    const caution = given ?? (await Caution.open(files, root));
    const isHere = (digest: Digest): boolean => store.bytesHere([{ digest }]) > 0;
    const folder = join(root, 'senders');
    await files.mkdir('senders.mkdir', folder);
    const known = new Map<Digest, Senders>();
    const old: string[] = [];
    for (const name of await files.names('senders.list', folder)) {
      const path = join(folder, name);
      const digest = `sha256:${name.slice(0, -suffix.length)}`;
      const found = isDigest(digest) && isHere(digest) ? await read(files, path, now) : undefined;
      if (found !== undefined && isDigest(digest)) known.set(digest, found);
      else old.push(path);
    }
    // What stays there is written over, or removed, before anybody begins that blob.
    if (old.length > 0)
      await caution.run('senders of what is gone', async () => {
        for (const path of old) await files.remove('senders.remove-old', path);
      });
    return new BlobSenders(files, folder, known, leastBytes);
  }

  private constructor(files: StoreDisk, folder: string, known: Map<Digest, Senders>, leastBytes: number) {
    this.#files = files;
    this.#folder = folder;
    this.#known = known;
    this.#leastBytes = leastBytes;
  }

  /** Whether somebody can go on with what is here of a blob. */
  knows(blob: Digest): boolean {
    return this.#known.has(blob);
  }

  hasSent(blob: Digest, source: string): boolean {
    return this.#known.get(blob)?.sent.includes(source) === true;
  }

  hasBegun(blob: Digest, source: string): boolean {
    return this.#known.get(blob)?.begun === source;
  }

  /** From here on its partial file, which is empty, is written by a source. */
  async begin({ digest, size }: { readonly digest: Digest; readonly size: number }, source: string) {
    await this.#set(digest, size, { sent: this.#sent(digest), begun: source });
  }

  async sent({ digest, size }: { readonly digest: Digest; readonly size: number }, source: string) {
    const others = this.#sent(digest).filter((other) => other !== source);
    await this.#set(digest, size, { sent: [...others, source] });
  }

  /** Its artifact is granted, which says the same. */
  async forget(digest: Digest, source: string): Promise<void> {
    const known = this.#known.get(digest);
    if (known === undefined) return;
    const sent = known.sent.filter((other) => other !== source);
    if (sent.length > 0) this.#known.set(digest, { ...known, sent });
    else await this.#drop(digest);
  }

  #sent(digest: Digest): readonly string[] {
    return this.#known.get(digest)?.sent ?? [];
  }

  async #set(digest: Digest, size: number, senders: Senders): Promise<void> {
    if (size >= this.#leastBytes) await this.#write(digest, senders);
    else await this.#unwrite(digest);
    this.#known.delete(digest);
    this.#known.set(digest, senders);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= maxRemembered) break;
      await this.#drop(oldest);
    }
  }

  async #drop(digest: Digest): Promise<void> {
    this.#known.delete(digest);
    await this.#files.remove('sender.remove', this.#path(digest));
  }

  async #write(digest: Digest, senders: Senders): Promise<void> {
    try {
      await writeDurable(this.#path(digest), withChecksum(senders), {
        files: this.#files,
        at: (step) => `sender.${step}` as const,
      });
    } catch (error) {
      throw asStoreError(error, `writing what sends blob ${digest}`);
    }
  }

  /** Sizes are what manifests say: one that says less leaves nothing of what another source had written. */
  async #unwrite(digest: Digest): Promise<void> {
    if (!existsSync(this.#path(digest))) return;
    await this.#files.remove('sender.unwrite', this.#path(digest));
    await this.#files.sync('sender.fsync-unwritten', this.#folder);
  }

  #path(digest: Digest): string {
    return join(this.#folder, `${hexOf(digest)}${suffix}`);
  }
}

/** Undefined: it is too old, or cannot be read, and the blob is asked for again. */
const read = async (files: StoreDisk, path: string, now: number): Promise<Senders | undefined> => {
  try {
    if (now - (await files.stat('senders.stat', path)).mtimeMs >= keptMs) return undefined;
    return schema.parse(checked((await files.readFile('senders.read', path)).toString('utf8')));
  } catch {
    return undefined;
  }
};
