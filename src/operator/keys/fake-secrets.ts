import type { ObjectKey } from '../../api/names.ts';
import type { KubeObject } from '../../kube/client/object.ts';
import type { Change } from '../../kube/informer/cache.ts';
import type { SecretsOf } from './key-secrets.ts';
import { type KeySecret, readKeySecret } from './secret.ts';

/** Stands in for the Secrets of the API server: what is listed and watched of each namespace. */
export class FakeSecrets {
  readonly opened: string[] = [];
  readonly closed: string[] = [];
  readonly #watches = new Map<string, Watch>();

  readonly open = (namespace: string): SecretsOf => {
    this.opened.push(namespace);
    const watch = new Watch(() => this.closed.push(namespace));
    this.#watches.set(namespace, watch);
    return watch;
  };

  /** The first list is there. */
  sync(namespace: string): void {
    this.#watches.get(namespace)?.sync();
  }

  put(raw: KubeObject): void {
    this.#watches.get(raw.metadata.namespace ?? '')?.put(readKeySecret(raw));
  }

  remove(key: ObjectKey): void {
    this.#watches.get(key.slice(0, key.indexOf('/')))?.remove(key);
  }
}

class Watch implements SecretsOf {
  readonly #objects = new Map<string, KeySecret>();
  readonly #onChange = new Set<(change: Change<KeySecret>) => void>();
  readonly #onProgress = new Set<(version: bigint) => void>();
  readonly #closed: () => void;
  #hasSynced = false;

  constructor(closed: () => void) {
    this.#closed = closed;
  }

  readonly start = (): void => undefined;
  readonly close = async (): Promise<void> => this.#closed();

  readonly cache = {
    get: (key: string) => this.#objects.get(key),
    list: () => [...this.#objects.values()],
    isSynced: () => this.#hasSynced,
    onChange: (listener: (change: Change<KeySecret>) => void) => {
      this.#onChange.add(listener);
      return () => this.#onChange.delete(listener);
    },
    onProgress: (listener: (version: bigint) => void) => {
      this.#onProgress.add(listener);
      return () => this.#onProgress.delete(listener);
    },
    get hasSynced(): boolean {
      return this.isSynced();
    },
  };

  sync(): void {
    this.#hasSynced = true;
    for (const listener of this.#onProgress) listener(1n);
  }

  put(secret: KeySecret): void {
    const before = this.#objects.get(secret.key);
    this.#objects.set(secret.key, secret);
    this.#tell(
      before === undefined
        ? { type: 'added', key: secret.key, object: secret }
        : { type: 'updated', key: secret.key, object: secret, before },
    );
  }

  remove(key: ObjectKey): void {
    const object = this.#objects.get(key);
    this.#objects.delete(key);
    if (object !== undefined) this.#tell({ type: 'deleted', key, object });
  }

  #tell(change: Change<KeySecret>): void {
    for (const listener of this.#onChange) listener(change);
  }
}
