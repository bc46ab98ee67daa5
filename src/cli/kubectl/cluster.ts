import type { Command } from 'commander';
import { pino } from 'pino';
import { parseDuration } from '../../api/duration.ts';
import { nearest } from '../../api/nearest.ts';
import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import { connectKube, type KubeConnection } from '../../kube/client/client.ts';
import { listObjects } from '../../kube/client/list.ts';
import { apiVersionOf, type KubeObject, pathOf, type ResourceType } from '../../kube/client/object.ts';
import { systemClock } from '../../time/clock.ts';
import { type Following, type FollowOptions, followObjects } from './follow-objects.ts';

export type ClusterOptions = {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
  readonly requestTimeout?: string;
};

/** Adds the options that every kubectl command has. */
export const withCluster = (command: Command): Command =>
  command
    .option('-n, --namespace <namespace>', 'namespace; default: that of the context')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--kubeconfig <file>', 'path of a kubeconfig')
    .option('--request-timeout <duration>', 'how long one request may take, such as 5s', '30s');

/** The objects of a namespace. Every method may fail with KUBE_* errors. */
export type Cluster = {
  readonly namespace: string;
  /** @throws AdaptletError KUBE_NOT_FOUND, with the name that was probably meant, or that the CRDs are missing */
  get(type: ResourceType, name: string, signal?: AbortSignal): Promise<KubeObject>;
  /** By name; `namespace`: another one. @throws AdaptletError KUBE_NOT_FOUND where the CRDs are missing */
  list(
    type: ResourceType,
    options?: { readonly allNamespaces?: boolean; readonly namespace?: string },
  ): Promise<KubeObject[]>;
  /** Lists once and watches from then on; whoever asks for it closes it. `namespace` undefined: of all namespaces. */
  follow<T>(type: ResourceType, options: FollowOptions<T>): Following<T>;
  /** @throws KUBE_CONFLICT when there is one of that name */
  create(type: ResourceType, body: unknown): Promise<KubeObject>;
  /**
   * By a JSON merge patch.
   * @throws as of `get`; KUBE_CONFLICT
   */
  patch(type: ResourceType, name: string, body: unknown): Promise<KubeObject>;
  [Symbol.dispose](): void;
};

const logger = pino({ enabled: false });

/** The API server that the options name. @throws KUBE_UNAUTHORIZED without a kubeconfig; RangeError of a duration */
export const connectionOf = ({ kubeconfig, context, requestTimeout }: ClusterOptions): KubeConnection =>
  connectKube({
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
    ...(requestTimeout === undefined ? {} : { limits: { requestMs: parseDuration(requestTimeout) } }),
    clock: systemClock,
    logger,
  });

/** @throws as of `connectionOf` */
export const connect = (given: ClusterOptions): Cluster => {
  const connection = connectionOf(given);
  const { namespace } = given;
  const inNamespace = namespace ?? connection.namespace;

  const list: Cluster['list'] = async (
    type,
    { allNamespaces = false, namespace: named = inNamespace } = {},
  ) => {
    const where = { namespace: allNamespaces ? undefined : named };
    const items = await Array.fromAsync(listObjects<Listed>(connection, type, where));
    return items.map((item) => shown(item, type)).toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  };

  /** Says of an object, or of a kind, that is not there what could have been meant. */
  const orMissing = async <T>(
    type: ResourceType,
    name: string | undefined,
    asked: Promise<T>,
  ): Promise<T> => {
    try {
      return await asked;
    } catch (error) {
      if (errorCodeOf(error) !== 'KUBE_NOT_FOUND') throw error;
      if (name === undefined) throw new AdaptletError('KUBE_NOT_FOUND', withoutKind(type, connection.server));
      const known = await orMissing(type, undefined, list(type));
      const [meant] = nearest(
        name,
        known.map(({ metadata }) => metadata.name),
      );
      const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
      const what = `there is no ${type.kind} ${name} in the namespace ${inNamespace}${hint}`;
      throw new AdaptletError('KUBE_NOT_FOUND', what, { cause: error });
    }
  };

  return {
    namespace: inNamespace,
    list: (type, options) => orMissing(type, undefined, list(type, options)),
    get: async (type, name, signal) => {
      const path = pathOf(type, inNamespace, name);
      const request = { method: 'GET' as const, path, ...(signal === undefined ? {} : { signal }) };
      return shown(await orMissing(type, name, connection.request<Listed>(request)), type);
    },
    follow: (type, options) => followObjects({ api: connection, clock: systemClock, logger }, type, options),
    create: (type, body) =>
      connection.request<KubeObject>({
        method: 'POST',
        path: pathOf(type, inNamespace),
        query: { fieldManager: 'kubectl-adaptlet' },
        body,
      }),
    patch: (type, name, body) =>
      orMissing(
        type,
        name,
        connection.request<KubeObject>({
          method: 'PATCH',
          path: pathOf(type, inNamespace, name),
          query: { fieldManager: 'kubectl-adaptlet' },
          contentType: 'application/merge-patch+json',
          body,
        }),
      ),
    [Symbol.dispose]: () => connection.close(),
  };
};

type Listed = KubeObject & { readonly metadata: { readonly managedFields?: unknown } };

/** As kubectl shows it: items of a list come without their kind, and nobody reads managedFields. */
const shown = (object: Listed, type: ResourceType): KubeObject => {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, apiVersion: apiVersionOf(type), kind: type.kind, metadata };
};

const nameOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

const withoutKind = ({ kind }: ResourceType, server: string): string =>
  `the cluster at ${server} does not know the kind ${kind}: install Adaptlet in it, by the Helm chart charts/adaptlet; its CRDs alone: kubectl apply --server-side -f crds`;

/**
 * The object in the form that the rest of Adaptlet reads.
 * @throws KUBE_INVALID with what this version cannot read
 */
export const mustRead = <T>(
  { object, problems }: { readonly object?: T; readonly problems: readonly { readonly reason: string }[] },
  what: string,
): T => {
  if (object !== undefined) return object;
  const why = problems.map(({ reason }) => reason).join('; ');
  throw new AdaptletError('KUBE_INVALID', `${what} cannot be read by this version: ${why}`, {
    advice: 'Use the kubectl plugin of the version that the operator has, or correct the object.',
  });
};
