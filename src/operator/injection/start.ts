import type { KubeApi } from '../../kube/client/api.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { Authority } from '../identity/authority.ts';
import type { Objects } from '../objects/objects.ts';
import { type Policies, podRefusal } from '../objects/policies.ts';
import { NamespaceBundles } from './namespace-bundles.ts';
import { Publisher } from './publisher.ts';
import { type RunningWebhook, startWebhook } from './server.ts';
import { readSidecar } from './template.ts';

export type InjectionOptions = {
  /** `host:port` of the webhook. */
  readonly address: string;
  /** File of the sidecar. */
  readonly template: string;
  readonly api: KubeApi;
  readonly authority: Authority;
  /** Of the operator. */
  readonly namespace: string;
  readonly runtimes: Objects['runtimes'];
  readonly policies: Pick<Policies, 'of'>;
  readonly clock: Clock;
  readonly logger: Log;
  /** Uniform in [0, 1). */
  readonly random: () => number;
};

export type RunningInjection = Pick<RunningWebhook, 'port' | 'counts' | 'ended'>;

/**
 * Starts what injects sidecars; the stack closes it.
 * @throws CONFIG_INVALID for an address that cannot be listened on, and for a sidecar that cannot be read
 */
export const startInjection = async (
  options: InjectionOptions,
  stack: AsyncDisposableStack,
): Promise<RunningInjection> => {
  const { template, authority, policies } = options;
  await readSidecar(template);
  const bundles = new NamespaceBundles({ ...options, bundle: () => authority.credentials().bundle });
  const webhook = await startWebhook({
    ...options,
    sidecar: () => readSidecar(template),
    denied: (namespace) =>
      podRefusal(policies.of(namespace), `the sidecar of a pod in the namespace ${namespace}`),
    publishIn: (namespace) => bundles.publishIn(namespace),
  });
  stack.defer(() => webhook.close());
  const publisher = new Publisher({ ...options, bundles });
  stack.defer(() => publisher.close());
  options.logger.info({ port: webhook.port }, 'sidecars are injected');
  return webhook;
};
