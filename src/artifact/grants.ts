import { join } from 'node:path';
import { z } from 'zod';
import { type Digest, isDigest } from '../api/names.ts';
import { checked, withChecksum } from '../disk/checked.ts';
import { writeDurable } from '../disk/durable.ts';
import { nodeFiles } from '../disk/files.ts';
import { errnoOf } from '../errors/errno.ts';
import { Caution } from './caution.ts';
import { type Claim, isSame } from './claims.ts';
import { hexOf } from './digest.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import { asStoreError } from './store-files.ts';
import type { BesideStore } from './store-options.ts';
import type { StoreDisk } from './store-points.ts';
import type { Damage } from './store-scan.ts';

/** An adapter of a plan that a node had before it recorded grants, and the content that it served for it. */
export type Former = { readonly uid: string; readonly digest: Digest };

const heldSchema = z.object({
  claims: z.array(z.object({ namespace: z.string(), source: z.string() })),
  /** Of adapters from before there were grants: a uid stands for one namespace and one source. */
  uids: z.array(z.string()),
});
type Held = { readonly claims: readonly Claim[]; readonly uids: readonly string[] };
const nothing: Held = { claims: [], uids: [] };

const suffix = '.json';
const badSuffix = '.bad';

const withClaim = (held: Held, claim: Claim): Held =>
  held.claims.some((other) => isSame(other, claim)) ? held : { ...held, claims: [...held.claims, claim] };

/**
 * Who may use what of a store: one file for each artifact, `grants/<hex>.json`, so that a damaged one costs one
 * artifact another download and no more.
 *
 * Guarantees: a grant is in force only once it survives a power cut; one that is taken back is out of force at once.
 */
export class Grants {
  /** Files that could not be read and were set aside: their artifacts are asked for again. */
  readonly damage: readonly Damage[];
  readonly #files: StoreDisk;
  readonly #folder: string;
  readonly #held: Map<Digest, Held>;
  /** One at a time writes the file of an artifact. */
  readonly #mutex = new KeyedMutex<Digest>();

  /**
   * Reads the grants of what is stored, and clears away those of what is not. The caller owns the store.
   * @param former what is granted where no grants were ever recorded: read once in the life of a store
   */
  static async open(
    root: string,
    stored: readonly Digest[],
    former: readonly Former[],
    { files = nodeFiles, caution: given }: BesideStore = {},
  ): Promise<Grants> {
    const caution = given ?? (await Caution.open(files, root));
    const folder = join(root, 'grants');
    const isThere = new Set(stored);
    try {
      await files.names('grants.look', folder);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      await begin(
        files,
        root,
        former.filter(({ digest }) => isThere.has(digest)),
      );
    }
    const held = new Map<Digest, Held>();
    const damage: Damage[] = [];
    const foreign: string[] = [];
    for (const name of await files.names('grants.list', folder)) {
      const path = join(folder, name);
      const digest = `sha256:${name.replace(/\.\w+$/, '')}`;
      if (!isDigest(digest) || !isThere.has(digest)) foreign.push(path);
      else if (name.endsWith(suffix)) {
        const found = await read(files, path);
        if (typeof found === 'string') damage.push({ digest, reason: `its grants cannot be read: ${found}` });
        else held.set(digest, found);
      } else if (!name.endsWith(badSuffix)) foreign.push(path);
    }
    if (foreign.length > 0)
      await caution.run('grants of what is gone', async () => {
        for (const path of foreign) await files.remove('grants.remove-foreign', path);
      });
    if (damage.length > 0)
      await caution.run('damaged grants', async () => {
        for (const { digest } of damage)
          await files.rename(
            'grants.set-aside',
            fileOf(folder, digest),
            join(folder, `${hexOf(digest)}${badSuffix}`),
          );
      });
    return new Grants(files, folder, held, damage);
  }

  private constructor(files: StoreDisk, folder: string, held: Map<Digest, Held>, damage: readonly Damage[]) {
    this.#files = files;
    this.#folder = folder;
    this.#held = held;
    this.damage = damage;
  }

  /** Namespaces that a digest is granted to. */
  ownersOf(digest: Digest): ReadonlySet<string> {
    return new Set(this.of(digest).map(({ namespace }) => namespace));
  }

  of(digest: Digest): readonly Claim[] {
    return this.#of(digest).claims;
  }

  has(digest: Digest, claim: Claim): boolean {
    return this.of(digest).some((other) => isSame(other, claim));
  }

  /** An adapter that had it before there were grants. */
  hasFormer(digest: Digest, uid: string): boolean {
    return this.#of(digest).uids.includes(uid);
  }

  /**
   * Resolves once the grant survives a restart; it is in force from then on.
   * @throws AdaptletError STORE_FULL, STORE_UNUSABLE
   */
  async give(digest: Digest, claim: Claim): Promise<void> {
    await this.#mutex.runExclusive(digest, async () => {
      if (this.has(digest, claim)) return;
      await this.#write(digest, withClaim(this.#of(digest), claim));
      // What others have may have changed meanwhile.
      this.#held.set(digest, withClaim(this.#of(digest), claim));
    });
  }

  /** A namespace, or an adapter from before, does not need it any more. */
  async take(digest: Digest, { namespace, uid }: { readonly namespace: string; readonly uid: string }) {
    const { claims, uids } = this.#of(digest);
    const left = {
      claims: claims.filter((claim) => claim.namespace !== namespace),
      uids: uids.filter((other) => other !== uid),
    };
    if (left.claims.length === claims.length && left.uids.length === uids.length) return;
    this.#set(digest, left);
    await this.#save(digest);
  }

  /** Nobody needs it any more. */
  async drop(digest: Digest): Promise<void> {
    if (!this.#held.delete(digest)) return;
    await this.#save(digest);
  }

  #of(digest: Digest): Held {
    return this.#held.get(digest) ?? nothing;
  }

  #set(digest: Digest, held: Held): void {
    if (held.claims.length + held.uids.length > 0) this.#held.set(digest, held);
    else this.#held.delete(digest);
  }

  /** Brings the file to what is in force. */
  async #save(digest: Digest): Promise<void> {
    await this.#mutex.runExclusive(digest, async () => {
      const held = this.#held.get(digest);
      if (held !== undefined) await this.#write(digest, held);
      else await this.#files.remove('grant.remove', fileOf(this.#folder, digest));
    });
  }

  async #write(digest: Digest, held: Held): Promise<void> {
    try {
      await writeDurable(fileOf(this.#folder, digest), withChecksum(held), {
        files: this.#files,
        at: (step) => `grant.${step}` as const,
      });
    } catch (error) {
      throw asStoreError(error, `writing the grants of ${digest}`);
    }
  }
}

const fileOf = (folder: string, digest: Digest): string => join(folder, `${hexOf(digest)}${suffix}`);

/** The grants of a file, or why they cannot be read. */
const read = async (files: StoreDisk, path: string): Promise<Held | string> => {
  try {
    return heldSchema.parse(checked((await files.readFile('grants.read', path)).toString('utf8')));
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== undefined && errno !== 'EIO' && errno !== 'EISDIR') throw error;
    return error instanceof Error ? error.message : String(error);
  }
};

/** The folder is there as a whole or not at all: it says that what was before it has been taken over. */
const begin = async (files: StoreDisk, root: string, former: readonly Former[]): Promise<void> => {
  const folder = join(root, 'grants');
  const building = `${folder}.new`;
  await files.remove('grants.clear-new', building);
  await files.mkdir('grants.mkdir-new', building);
  for (const [digest, adapters] of Map.groupBy(former, (adapter) => adapter.digest)) {
    const uids = [...new Set(adapters.map(({ uid }) => uid))];
    await writeDurable(fileOf(building, digest), withChecksum({ claims: [], uids }), {
      files,
      at: (step) => `former.${step}` as const,
    });
  }
  await files.sync('grants.fsync-new', building);
  await files.rename('grants.rename-new', building, folder);
  await files.sync('grants.fsync-root', root);
};
