import { isDeepStrictEqual } from 'node:util';
import type { ObjectKey } from '../../api/names.ts';
import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { KubeMetadata } from '../../kube/client/object.ts';
import type { Read } from '../objects/objects.ts';
import type { ControlledKind, ControllerParts, ObservedKind, StatusWriter, Version } from './controller.ts';

/** Conflict: somebody was faster; the cache will show it. Gone: there is no such object any more. */
export type Written = 'Written' | 'Conflict' | 'Gone';

/** Milliseconds after which a cache that did not move on is believed all the same. */
const patienceMs = 10_000;
/** Look again after so many milliseconds; the change of the cache comes first, as a rule. */
export const lookAgainMs = 1000;

/** How an object is named in a write and in events. */
export const versionOf = <K extends ObservedKind>(
  kind: K,
  read: Pick<Read<unknown>, 'resourceVersion' | 'metadata'>,
): Version<K> => ({
  kind,
  namespace: read.metadata.namespace ?? '',
  name: read.metadata.name,
  uid: read.metadata.uid,
  resourceVersion: read.resourceVersion,
  metadata: read.metadata,
});

/**
 * The writes of one controller. Each is fenced and based on the version that was read.
 *
 * Guarantees: while the cache still has a version that a write of ours replaced, or that lost against another writer,
 * `isBehind` is true: nothing is decided from it a second time. A status that changed nothing is not written again.
 */
export class FencedWrites {
  readonly #kind: ControlledKind;
  readonly #parts: Pick<ControllerParts, 'clock' | 'term' | 'writer'>;
  /**
   * Statuses whose writes changed nothing, by the metadata of that version: the API server drops what its CRDs do not have,
   * as those of an earlier release.
   */
  readonly #kept = new WeakMap<KubeMetadata, object>();
  /** Versions that are known to be replaced. */
  readonly #outdated = new Map<ObjectKey, { readonly resourceVersion: string; readonly since: number }>();

  constructor(kind: ControlledKind, parts: Pick<ControllerParts, 'clock' | 'term' | 'writer'>) {
    this.#kind = kind;
    this.#parts = parts;
  }

  isBehind({ key, resourceVersion }: Pick<Read<unknown>, 'key' | 'resourceVersion'>): boolean {
    const outdated = this.#outdated.get(key);
    if (outdated === undefined) return false;
    const isOld = outdated.resourceVersion === resourceVersion;
    if (isOld && this.#parts.clock.monotonic() - outdated.since < patienceMs) return true;
    this.#outdated.delete(key);
    return false;
  }

  forget(key: ObjectKey): void {
    this.#outdated.delete(key);
  }

  /** @throws as `write` */
  async replaceStatus(
    read: Pick<Read<unknown>, 'key' | 'resourceVersion' | 'metadata'>,
    status: object,
    signal: AbortSignal,
  ): Promise<Written> {
    if (isDeepStrictEqual(this.#kept.get(read.metadata), status)) return 'Written';
    return this.write(read, async (writer, of) => {
      const changes = await writer.replaceStatus(of, status, signal);
      if (!changes) this.#kept.set(read.metadata, status);
      return changes;
    });
  }

  /** @throws NOT_LEADER, KUBE_* but for conflicts and objects that are gone */
  async write(
    read: Pick<Read<unknown>, 'key' | 'resourceVersion' | 'metadata'>,
    how: (writer: StatusWriter, of: Version) => Promise<boolean>,
  ): Promise<Written> {
    const { clock, term, writer } = this.#parts;
    if (term.fence() !== term.epoch) {
      throw new AdaptletError('NOT_LEADER', `term ${term.epoch} is over, a later one has begun`);
    }
    try {
      if (!(await how(writer, versionOf(this.#kind, read)))) return 'Written';
    } catch (error) {
      const code = errorCodeOf(error);
      if (code === 'KUBE_NOT_FOUND') return 'Gone';
      if (code !== 'KUBE_CONFLICT') throw error;
      this.#outdated.set(read.key, { resourceVersion: read.resourceVersion, since: clock.monotonic() });
      return 'Conflict';
    }
    this.#outdated.set(read.key, { resourceVersion: read.resourceVersion, since: clock.monotonic() });
    return 'Written';
  }
}
