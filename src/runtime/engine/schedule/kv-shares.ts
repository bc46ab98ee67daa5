import { AdaptletError } from '../../../errors/adaptlet-error.ts';

/** Milliseconds after which a request of the namespace may have ended. */
const retryAfterMs = 1000;

/** What the requests of a namespace may take together of the memory for keys and values. */
export type KvShare = {
  readonly namespace: string;
  /** In bytes. Absent: as much as there is. */
  readonly limitBytes?: number | undefined;
};

/**
 * Keys and values of namespaces with a limit. A request counts with all that it may grow to: one that began is never stopped by
 * the limit of its namespace.
 */
export class KvShares {
  readonly #reserved = new Map<string, number>();

  /** What a namespace may still take. */
  leftOf({ namespace, limitBytes = Infinity }: KvShare): number {
    return Math.max(0, limitBytes - (this.#reserved.get(namespace) ?? 0));
  }

  /**
   * Bytes for a request until the result is called.
   * @throws NAMESPACE_KV_MEMORY
   */
  reserve(share: KvShare, bytes: number): () => void {
    const { namespace, limitBytes } = share;
    if (limitBytes === undefined) return () => undefined;
    if (bytes > this.leftOf(share)) {
      const reserved = this.#reserved.get(namespace) ?? 0;
      throw new AdaptletError(
        'NAMESPACE_KV_MEMORY',
        `The request can need ${bytes} bytes of memory for keys and values; of the ${limitBytes} bytes that namespace ${namespace} may have here its other requests can need ${reserved}`,
        bytes > limitBytes ? {} : { retryAfterMs },
      );
    }
    this.#add(namespace, bytes);
    let isOpen = true;
    return () => {
      if (isOpen) this.#add(namespace, -bytes);
      isOpen = false;
    };
  }

  #add(namespace: string, bytes: number): void {
    const now = (this.#reserved.get(namespace) ?? 0) + bytes;
    if (now > 0) this.#reserved.set(namespace, now);
    else this.#reserved.delete(namespace);
  }
}
