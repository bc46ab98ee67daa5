import type { Command } from 'commander';
import { pino } from 'pino';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/api.ts';
import { connectKube } from '../../kube/client.ts';
import { type KubeObject, pathOf, type ResourceType } from '../../kube/object.ts';
import { systemClock } from '../../time/clock.ts';

export type ClusterOptions = {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
};

/** Adds the options that every kubectl command has. */
export const withCluster = (command: Command): Command =>
  command
    .option('-n, --namespace <namespace>', 'namespace; default: that of the context')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--kubeconfig <file>', 'path of a kubeconfig');

export type Cluster = {
  readonly api: KubeApi;
  readonly namespace: string;
  get(type: ResourceType, name: string): Promise<KubeObject>;
  list(type: ResourceType, options?: { readonly allNamespaces?: boolean }): Promise<KubeObject[]>;
  [Symbol.dispose](): void;
};

/** Errors: those of the API server, and KUBE_UNAUTHORIZED without a kubeconfig. */
export const connect = ({ kubeconfig, context, namespace }: ClusterOptions): Cluster => {
  const connection = connectKube({
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
    clock: systemClock,
    logger: pino({ enabled: false }),
  });
  const inNamespace = namespace ?? connection.namespace;
  return {
    api: connection,
    namespace: inNamespace,
    get: (type, name) => connection.request({ method: 'GET', path: pathOf(type, inNamespace, name) }),
    async list(type, { allNamespaces = false } = {}) {
      const items: KubeObject[] = [];
      let next: string | undefined = '';
      do {
        const page: ListPage = await connection.request<ListPage>({
          method: 'GET',
          path: pathOf(type, allNamespaces ? undefined : inNamespace),
          query: { limit: '500', ...(next === '' ? {} : { continue: next }) },
        });
        items.push(...page.items.map((item) => withKind(item, type)));
        next = page.metadata.continue;
      } while (next !== undefined && next !== '');
      return items.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
    },
    [Symbol.dispose]: () => connection.close(),
  };
};

type ListPage = { readonly items: readonly KubeObject[]; readonly metadata: { readonly continue?: string } };

/** Items of a list come without their kind. */
const withKind = (item: KubeObject, { group, version, kind }: ResourceType): KubeObject => ({
  ...item,
  apiVersion: `${group}/${version}`,
  kind,
});

const nameOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

/** The object in the form that the rest of Adaptlet reads. Errors: INTERNAL with what this version cannot read. */
export const mustRead = <T>(
  { object, problems }: { readonly object?: T; readonly problems: readonly { readonly reason: string }[] },
  what: string,
): T => {
  if (object !== undefined) return object;
  const why = problems.map(({ reason }) => reason).join('; ');
  throw new AdaptletError('KUBE_INVALID', `${what} cannot be read by this version: ${why}`);
};
