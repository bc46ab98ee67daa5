import { isAllowed } from '../egress/host-pattern.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { askHttp, filledUrl } from './http-json.ts';
import { askPrometheus, queryUrl } from './prometheus.ts';
import type { Credentials, Measure } from './source.ts';

export type MeasureOptions = {
  readonly fetch: typeof fetch;
  /** Patterns of hosts that may be asked. Empty: every host. */
  readonly hosts: readonly string[];
  /** Patterns that a namespace is bound to besides; empty: no host. Undefined, or absent: it is not bound. */
  readonly hostsOf?: (namespace: string) => readonly string[] | undefined;
  /** Absent where there are no Secrets. */
  readonly credentials?: Credentials;
};

/** @throws METRIC_DENIED */
const checkPolicy = (url: URL, namespace: string, hosts: readonly string[] | undefined): void => {
  if (hosts === undefined || (hosts.length > 0 && isAllowed(url, hosts, 'Https'))) return;
  throw new AdaptletError(
    'METRIC_DENIED',
    `${url.host} is not one of the hosts of spec.sources.metricHosts of the AdapterPolicy of the namespace ${namespace}`,
    { advice: 'Ask the administrator to add the host to the policy, or use another host.' },
  );
};

const noSecrets = (): AdaptletError =>
  new AdaptletError('METRIC_CREDENTIALS', 'the metric has a secretRef, and there are no Secrets here', {
    advice:
      'Leave secretRef out on a node without a cluster, and put the server behind one that adds credentials.',
  });

/** Asks the server that a source names, if its host is one of those that may be asked. */
export const createMeasure =
  ({ fetch: fetcher, hosts, hostsOf, credentials }: MeasureOptions): Measure =>
  async (source, variables, signal) => {
    const url = 'http' in source ? filledUrl(source.http, variables) : queryUrl(source.prometheus);
    if (!isAllowed(url, hosts))
      throw new AdaptletError('METRIC_DENIED', `${url.host} is not one of the hosts that may be asked`);
    checkPolicy(url, variables.namespace, hostsOf?.(variables.namespace));
    const { secretRef } = 'http' in source ? source.http : source.prometheus;
    if (secretRef !== undefined && credentials === undefined) throw noSecrets();
    const authorization = secretRef && (await credentials?.(variables.namespace, secretRef, signal));
    return 'http' in source
      ? await askHttp(fetcher, source.http, variables, signal, authorization)
      : await askPrometheus(fetcher, source.prometheus, variables, signal, authorization);
  };
