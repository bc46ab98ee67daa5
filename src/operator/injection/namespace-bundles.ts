import { asAdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import { type KubeMetadata, pathOf } from '../../kube/client/object.ts';
import type { Log } from '../../telemetry/log.ts';
import { secretName as bundleName } from '../identity/authority-state.ts';
import { bundleKey } from '../identity/authority-store.ts';
import type { Objects } from '../objects/objects.ts';
import { configMapType } from '../objects/resource-types.ts';
import { namespaceOf } from '../objects/scope.ts';

type ConfigMap = {
  readonly metadata: KubeMetadata & { readonly namespace: string };
  readonly data?: Readonly<Record<string, string>>;
};

/** Without it a ConfigMap of the name belongs to somebody else, and stays as it is. */
const ownLabel = { 'app.kubernetes.io/managed-by': 'adaptlet' };

/** Namespaces that are written at the same time; a pod of one more does not wait. */
const maxUnderWay = 64;

export type NamespaceBundlesOptions = {
  readonly api: KubeApi;
  /** Of the operator: there the authority publishes itself. */
  readonly namespace: string;
  /** What runtimes trust, as it is now. */
  readonly bundle: () => string;
  readonly runtimes: Pick<Objects['runtimes'], 'list'>;
  readonly logger: Log;
};

/**
 * ConfigMap `adaptlet-ca` in the namespaces that have sidecars: a pod mounts only what is of its namespace. Any replica
 * writes it, when it looks at a pod; each keeps it current where it is.
 */
export class NamespaceBundles {
  readonly #options: NamespaceBundlesOptions;
  /** What each namespace had when it was last seen. */
  readonly #seen = new Map<string, string>();
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #foreign = new Set<string>();

  constructor(options: NamespaceBundlesOptions) {
    this.#options = options;
  }

  /** Never throws. */
  async publishIn(namespace: string): Promise<void> {
    if (namespace === this.#options.namespace || this.#seen.get(namespace) === this.#options.bundle()) return;
    let work = this.#underWay.get(namespace);
    if (work === undefined) {
      if (this.#underWay.size >= maxUnderWay) return;
      work = this.#publish(namespace).finally(() => this.#underWay.delete(namespace));
      this.#underWay.set(namespace, work);
    }
    await work;
  }

  /**
   * Looks where the bundle is, and writes it where it is another one, or is missing beside a sidecar that is known.
   * @throws those of the API server
   */
  async refresh(signal: AbortSignal): Promise<void> {
    const { api, namespace, runtimes } = this.#options;
    const { items } = await api.request<{ readonly items: readonly ConfigMap[] }>({
      method: 'GET',
      path: pathOf(configMapType),
      // By the name alone: so the right to list is bound to it.
      query: { fieldSelector: `metadata.name=${bundleName}` },
      signal,
    });
    this.#seen.clear();
    for (const one of items) this.#note(one);
    const wanted = new Set(items.filter(isOwn).map(({ metadata }) => metadata.namespace));
    for (const { key, object } of runtimes.list())
      if (object?.status?.kind === 'Pod') wanted.add(namespaceOf(key));
    wanted.delete(namespace);
    for (const one of wanted) {
      signal.throwIfAborted();
      await this.publishIn(one);
    }
  }

  #note({ metadata, data }: ConfigMap): void {
    this.#seen.set(metadata.namespace, data?.[bundleKey] ?? '');
  }

  async #publish(namespace: string): Promise<void> {
    const { api, bundle, logger } = this.#options;
    const text = bundle();
    const collection = pathOf(configMapType, namespace);
    const path = pathOf(configMapType, namespace, bundleName);
    try {
      const present = await api.request<ConfigMap>({ method: 'GET', path }).catch((error: unknown) => {
        if (errorCodeOf(error) === 'KUBE_NOT_FOUND') return undefined;
        throw error;
      });
      if (present?.data?.[bundleKey] === text) this.#seen.set(namespace, text);
      else if (present !== undefined && !isOwn(present)) this.#leave(namespace);
      else {
        const version = present?.metadata.resourceVersion;
        const body = {
          apiVersion: 'v1',
          kind: configMapType.kind,
          metadata: {
            name: bundleName,
            namespace,
            labels: ownLabel,
            ...(version === undefined ? {} : { resourceVersion: version }),
          },
          data: { [bundleKey]: text },
        };
        await (version === undefined
          ? api.request({ method: 'POST', path: collection, body })
          : api.request({ method: 'PUT', path, body }));
        this.#seen.set(namespace, text);
        logger.info({ namespace }, 'the certificate authority is published in a namespace');
      }
    } catch (error) {
      // Another replica wrote it meanwhile, or the namespace is going: the next refresh looks again.
      const err = asAdaptletError(error, 'publishing the certificate authority');
      const isUsual = ['KUBE_CONFLICT', 'KUBE_NOT_FOUND'].includes(err.code);
      logger[isUsual ? 'debug' : 'warn']({ namespace, err }, 'the certificate authority was not published');
    }
  }

  #leave(namespace: string): void {
    if (this.#foreign.has(namespace)) return;
    this.#foreign.add(namespace);
    this.#options.logger.warn(
      { namespace, configMap: bundleName },
      'a ConfigMap of somebody else has the name of the certificate authority; sidecars there do not find the operator',
    );
  }
}

const isOwn = ({ metadata }: ConfigMap): boolean =>
  Object.entries(ownLabel).every(([label, value]) => metadata.labels?.[label] === value);
