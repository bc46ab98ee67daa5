import type { SecretRef } from '../api/metric-source.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Credentials } from '../measurement/source.ts';
import { type SecretParts, secretValues } from './secret-values.ts';

/** A Secret says by this label that metrics may be asked with it: whoever writes a rollout need not be who may read it. */
export const metricsLabel = 'adaptlet.io/metrics';

const unusable = (what: string): AdaptletError => new AdaptletError('METRIC_CREDENTIALS', what);

/** A header has one line of what can be seen. The value itself is in no message. */
const headerOf = (value: string, { key, scheme }: SecretRef, where: string): string => {
  if (scheme === 'Basic') {
    if (!value.includes(':')) throw unusable(`key ${key} of ${where} is not user:password`);
    return `Basic ${Buffer.from(value).toString('base64')}`;
  }
  if (!/^[\x21-\x7e]+$/.test(value)) throw unusable(`key ${key} of ${where} is not a token on one line`);
  return `Bearer ${value}`;
};

/** Credentials of metrics out of Secrets, read when a metric is measured. */
export const metricCredentials = (parts: SecretParts): Credentials =>
  secretValues<SecretRef, string>(parts, {
    label: metricsLabel,
    code: 'METRIC_CREDENTIALS',
    valueOf: ({ data }, ref, where) => {
      const encoded = data?.[ref.key];
      if (encoded === undefined) throw unusable(`${where} has no key ${ref.key}`);
      // A file that became a Secret ends with a line break.
      return headerOf(Buffer.from(encoded, 'base64').toString('utf8').trimEnd(), ref, where);
    },
  });
