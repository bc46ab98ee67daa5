import { type Digest, namespaceOf } from '../../api/names.ts';
import type { Core } from './core.ts';
import type { Entry } from './entry.ts';
import { isOnDisk } from './lifecycle.ts';

/** An artifact that a namespace has on the disk and no adapter here. */
export type Kept = {
  readonly owner: string;
  readonly digest: Digest;
  readonly bytes: number;
  /** It came from a folder of this node. */
  readonly isLocal: boolean;
};

/** Takes artifacts and compiled files off the disk once no adapter has their digest any more. */
export class Removals {
  readonly #core: Core;
  readonly #running = new Map<Digest, Promise<void>>();
  /** Of what was kept, what came from a folder of this node. */
  readonly #local = new Set<Digest>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** The removal of this digest that is under way, if any: nothing may rely on its files until it ended. */
  underWay(digest: Digest): Promise<void> | undefined {
    return this.#running.get(digest);
  }

  /** Of a removed adapter, of which nothing is under way any more. */
  async collect(entry: Entry): Promise<void> {
    const digest = entry.digest ?? this.#arrived(entry);
    if (digest === undefined) return;
    if (this.#inUse(digest)) {
      await this.#release(entry, digest);
      return;
    }
    if (entry.state.kind === 'Stored' || entry.state.kind === 'Compiled') {
      this.#core.move(entry, { kind: 'ArtifactLost', reason: 'removed' });
    }
    await this.#remove(digest);
  }

  /** An adapter does without its artifact: that goes unless another one needs it. */
  async drop(entry: Entry): Promise<void> {
    const { digest, state, wish } = entry;
    if (state.kind === 'Stored' || state.kind === 'Compiled')
      this.#core.move(entry, { kind: 'ArtifactLost', reason: 'it left the disk for others' });
    entry.storedBytes = 0;
    entry.fetched = false;
    if (digest === undefined || this.#inUse(digest)) return;
    if (this.#core.options.artifacts.stored(wish, digest) !== undefined) await this.#remove(digest);
  }

  /** One of a single user that made place for another: its artifact stays, as long as nobody needs its room. */
  keep({ planned, digest, offDisk, wish, resource }: Entry): boolean {
    if (planned || digest === undefined || offDisk) return false;
    if (this.#core.options.artifacts.stored(wish, digest) === undefined) return false;
    if (resource.body.source.path === undefined) this.#local.delete(digest);
    else this.#local.add(digest);
    return true;
  }

  /**
   * What the disk has for namespaces of which no adapter here has it: it was kept, or left by an earlier process.
   * `of`: for this namespace alone.
   */
  kept(of?: string): readonly Kept[] {
    const claimed = new Set<string>();
    for (const { key, digest, arriving } of this.#core.all()) {
      const owner = namespaceOf(key);
      if (of !== undefined && of !== owner) continue;
      for (const its of [digest, arriving]) if (its !== undefined) claimed.add(its).add(`${owner} ${its}`);
    }
    const kept: Kept[] = [];
    for (const { digest, bytes, namespaces } of this.#core.options.artifacts.held()) {
      if (this.#running.has(digest)) continue;
      const isLocal = this.#local.has(digest);
      for (const owner of namespaces)
        if ((of ?? owner) === owner && !claimed.has(`${owner} ${digest}`))
          kept.push({ owner, digest, bytes, isLocal });
      // What is granted to nobody is nobody's, but for adapters from before there were grants.
      if (namespaces.length === 0 && (of ?? '') === '' && !claimed.has(digest))
        kept.push({ owner: '', digest, bytes, isLocal });
    }
    return kept;
  }

  /**
   * A namespace needs its room: no adapter of it has it. It goes, unless another namespace has it. False: it could not be removed.
   */
  async dropKept(namespace: string, digest: Digest): Promise<boolean> {
    if (this.#isClaimed(namespace, digest)) return true;
    const { artifacts, resolutions, logger } = this.#core.options;
    const held = () => artifacts.held().find((one) => one.digest === digest);
    const isShared = held()?.namespaces.some((other) => other !== namespace) === true;
    try {
      if (isShared || this.#inUse(digest)) await artifacts.disown(namespace, digest);
      else await this.#remove(digest);
      for (const uid of resolutions.uidsOf(digest))
        if (![...this.#core.all()].some((entry) => entry.uid === uid)) await resolutions.forget(uid);
    } catch (error) {
      logger.warn({ err: error, digest }, 'an artifact that nothing needs could not be removed');
    }
    const left = held();
    if (left === undefined) this.#local.delete(digest);
    return left === undefined || (isShared && !left.namespaces.includes(namespace));
  }

  /** An adapter of the namespace here has it, or is about to. */
  #isClaimed(namespace: string, digest: Digest): boolean {
    for (const { key, digest: its, arriving } of this.#core.all())
      if ((its === digest || arriving === digest) && (namespace === '' || namespaceOf(key) === namespace))
        return true;
    return false;
  }

  /** What its fetch brought before it was cancelled. */
  #arrived({ arriving, wish }: Entry): Digest | undefined {
    if (arriving === undefined) return undefined;
    return this.#core.options.artifacts.stored(wish, arriving) === undefined ? undefined : arriving;
  }

  /** Who only names the digest does not have it. One that is on its way looks whether it is still there when it has come. */
  #inUse(digest: Digest): boolean {
    const { artifacts } = this.#core.options;
    return [...this.#core.all()].some(
      ({ digest: its, offDisk, state, wish }) =>
        its === digest && !offDisk && (isOnDisk(state) || artifacts.stored(wish, digest) !== undefined),
    );
  }

  /** What is left to other namespaces is no longer this one's, as if they did not have it. */
  async #release({ key, wish }: Entry, digest: Digest): Promise<void> {
    for (const other of this.#core.all())
      if (other.digest === digest && namespaceOf(other.key) === namespaceOf(key)) return;
    const { artifacts, logger } = this.#core.options;
    try {
      await artifacts.release(wish, digest);
    } catch (error) {
      logger.warn({ err: error, key, digest }, 'the grant of an adapter could not be taken off the disk');
    }
  }

  #remove(digest: Digest): Promise<void> {
    const { artifacts, compiler, logger } = this.#core.options;
    const work = async () => {
      try {
        await compiler.remove(digest);
        await artifacts.remove(digest);
      } catch (error) {
        logger.warn({ err: error, digest }, 'an artifact could not be removed from the disk');
      } finally {
        this.#running.delete(digest);
      }
    };
    const running = work();
    this.#running.set(digest, running);
    return running;
  }
}
