import type { Digest } from '../api/names.ts';
import { blobsOf } from './manifest.ts';
import type { StoredAdapter } from './store-scan.ts';

/** The artifacts of a store, and which of them have a blob. */
export class StoredAdapters {
  readonly #byDigest = new Map<Digest, StoredAdapter>();
  readonly #users = new Map<Digest, Set<Digest>>();

  constructor(adapters: Iterable<readonly [Digest, StoredAdapter]>) {
    for (const [digest, adapter] of adapters) this.set(digest, adapter);
  }

  get(digest: Digest): StoredAdapter | undefined {
    return this.#byDigest.get(digest);
  }

  has(digest: Digest): boolean {
    return this.#byDigest.has(digest);
  }

  digests(): readonly Digest[] {
    return [...this.#byDigest.keys()];
  }

  set(digest: Digest, adapter: StoredAdapter): void {
    this.#byDigest.set(digest, adapter);
    for (const blob of blobsOf(adapter.manifest)) {
      const users = this.#users.get(blob.digest) ?? new Set();
      this.#users.set(blob.digest, users.add(digest));
    }
  }

  delete(digest: Digest): void {
    const adapter = this.#byDigest.get(digest);
    if (adapter === undefined) return;
    this.#byDigest.delete(digest);
    for (const blob of blobsOf(adapter.manifest)) {
      const users = this.#users.get(blob.digest);
      users?.delete(digest);
      if (users?.size === 0) this.#users.delete(blob.digest);
    }
  }

  usersOf(blob: Digest): readonly Digest[] {
    return [...(this.#users.get(blob) ?? [])];
  }

  isUsed(blob: Digest): boolean {
    return this.#users.has(blob);
  }
}
