import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import { type KubeMetadata, pathOf, type ResourceType } from '../../kube/client/object.ts';
import { type AuthorityState, bundleOf, fromSecret, secretName, toSecret } from './authority-state.ts';

const secrets: ResourceType = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
};
const configMaps: ResourceType = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
};

type Data = {
  readonly metadata: KubeMetadata;
  readonly data?: Readonly<Record<string, string>>;
};

/** What the API server has; `version` is the precondition of the next write, undefined: it does not exist. */
export type Stored<T> = { readonly version: string | undefined; readonly value: T | undefined };

export const bundleKey = 'ca.crt';

/**
 * Secret and ConfigMap `adaptlet-ca` in the operator's namespace.
 * @throws KUBE_CONFLICT when another replica wrote meanwhile; KUBE_UNAVAILABLE, KUBE_FORBIDDEN and the like;
 * AUTHORITY_INVALID
 */
export class AuthorityStore {
  readonly #api: KubeApi;
  readonly #namespace: string;
  constructor(api: KubeApi, namespace: string) {
    this.#api = api;
    this.#namespace = namespace;
  }

  async readState(): Promise<Stored<AuthorityState>> {
    const found = await this.#read(secrets);
    if (found === undefined) return { version: undefined, value: undefined };
    const values = Object.entries(found.data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value, 'base64').toString('utf8'),
    ]);
    return {
      version: found.metadata.resourceVersion,
      value: fromSecret(Object.fromEntries(values) as Record<string, string>),
    };
  }

  async readBundle(): Promise<Stored<string>> {
    const found = await this.#read(configMaps);
    return { version: found?.metadata.resourceVersion, value: found?.data?.[bundleKey] };
  }

  async writeState(state: AuthorityState, version: string | undefined): Promise<void> {
    const data = Object.entries(toSecret(state)).map(([key, value]) => [
      key,
      Buffer.from(value, 'utf8').toString('base64'),
    ]);
    await this.#write(secrets, version, { type: 'Opaque', data: Object.fromEntries(data) as unknown });
  }

  async writeBundle(state: AuthorityState, version: string | undefined): Promise<void> {
    await this.#write(configMaps, version, { data: { [bundleKey]: bundleOf(state) } });
  }

  async #read(type: ResourceType): Promise<Data | undefined> {
    try {
      return await this.#api.request<Data>({
        method: 'GET',
        path: pathOf(type, this.#namespace, secretName),
      });
    } catch (error) {
      if (errorCodeOf(error) === 'KUBE_NOT_FOUND') return undefined;
      throw error;
    }
  }

  async #write(type: ResourceType, version: string | undefined, content: object): Promise<void> {
    const body = {
      apiVersion: 'v1',
      kind: type.kind,
      metadata: {
        name: secretName,
        namespace: this.#namespace,
        labels: { 'app.kubernetes.io/managed-by': 'adaptlet' },
        ...(version === undefined ? {} : { resourceVersion: version }),
      },
      ...content,
    };
    await (version === undefined
      ? this.#api.request({ method: 'POST', path: pathOf(type, this.#namespace), body })
      : this.#api.request({ method: 'PUT', path: pathOf(type, this.#namespace, secretName), body }));
  }
}
