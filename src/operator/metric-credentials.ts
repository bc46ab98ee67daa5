import type { SecretRef } from '../api/metric-source.ts';
import { AdaptletError, asAdaptletError } from '../errors/adaptlet-error.ts';
import type { KubeApi } from '../kube/client/api.ts';
import { type KubeObject, pathOf } from '../kube/client/object.ts';
import type { Credentials } from '../measurement/source.ts';
import type { Clock } from '../time/clock.ts';
import { secretType } from './objects/resource-types.ts';

/** A Secret says by this label that metrics may be asked with it: whoever writes a rollout need not be who may read it. */
export const metricsLabel = 'adaptlet.io/metrics';

/** Milliseconds for which a value is used without another look. */
export const keptMs = 15_000;
/** Most values that are kept. */
const maxKept = 256;

type Secret = KubeObject & { readonly data?: Readonly<Record<string, string>> };
type Kept = { readonly header: string; readonly until: number };

const unusable = (what: string, advice?: string): AdaptletError =>
  new AdaptletError('METRIC_CREDENTIALS', what, advice === undefined ? {} : { advice });

/** A header has one line of what can be seen. The value itself is in no message. */
const headerOf = (value: string, { key, scheme }: SecretRef, where: string): string => {
  if (scheme === 'Basic') {
    if (!value.includes(':')) throw unusable(`key ${key} of ${where} is not user:password`);
    return `Basic ${Buffer.from(value).toString('base64')}`;
  }
  if (!/^[\x21-\x7e]+$/.test(value)) throw unusable(`key ${key} of ${where} is not a token on one line`);
  return `Bearer ${value}`;
};

/** What the API server's answer means to who wrote the metric. */
const explained = (error: unknown, where: string, namespace: string): unknown => {
  const { code } = asAdaptletError(error, where);
  if (code === 'KUBE_FORBIDDEN')
    return unusable(
      `the operator may not read ${where}`,
      `Ask the administrator to list the namespace ${namespace} in credentials.namespaces of the chart.`,
    );
  return code === 'KUBE_NOT_FOUND' ? unusable(`there is no ${where}`) : error;
};

/**
 * Credentials of metrics out of Secrets, read when a metric is measured and kept for some seconds, in memory only.
 * `namespace`: of the operator, whose Secrets are for nobody.
 */
export const metricCredentials = (parts: {
  readonly api: Pick<KubeApi, 'request'>;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly namespace: string;
}): Credentials => {
  const { api, clock } = parts;
  const kept = new Map<string, Kept>();

  const read = async (namespace: string, ref: SecretRef, signal: AbortSignal): Promise<string> => {
    const where = `Secret ${namespace}/${ref.name}`;
    if (namespace === parts.namespace)
      throw unusable(
        `${where} is in the namespace of the operator`,
        'Put rollouts and their Secrets elsewhere.',
      );
    const path = pathOf(secretType, namespace, ref.name);
    const secret = await api.request<Secret>({ method: 'GET', path, signal }).catch((error: unknown) => {
      throw explained(error, where, namespace);
    });
    if (secret.metadata.labels?.[metricsLabel] !== 'true')
      throw unusable(`${where} does not have the label ${metricsLabel}: "true"`);
    const encoded = secret.data?.[ref.key];
    if (encoded === undefined) throw unusable(`${where} has no key ${ref.key}`);
    // A file that became a Secret ends with a line break.
    return headerOf(Buffer.from(encoded, 'base64').toString('utf8').trimEnd(), ref, where);
  };

  return async (namespace, ref, signal) => {
    const key = JSON.stringify([namespace, ref.name, ref.key, ref.scheme]);
    const known = kept.get(key);
    if (known !== undefined && known.until > clock.monotonic()) return known.header;
    kept.delete(key);
    const header = await read(namespace, ref, signal);
    kept.set(key, { header, until: clock.monotonic() + keptMs });
    for (const oldest of kept.keys()) {
      if (kept.size <= maxKept) break;
      kept.delete(oldest);
    }
    return header;
  };
};
