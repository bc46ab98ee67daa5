import { AdaptletError } from '../errors/adaptlet-error.ts';
import { askHttp, filledUrl } from './http-json.ts';
import { isAllowed } from './metric-hosts.ts';
import { askPrometheus, queryUrl } from './prometheus.ts';
import type { Measure } from './source.ts';

export type MeasureOptions = {
  readonly fetch: typeof fetch;
  /** Patterns of hosts that may be asked. Empty: every host. */
  readonly hosts: readonly string[];
};

/** Asks the server that a source names, if its host is one of those that may be asked. */
export const createMeasure =
  ({ fetch: fetcher, hosts }: MeasureOptions): Measure =>
  async (source, variables, signal) => {
    const url = 'http' in source ? filledUrl(source.http, variables) : queryUrl(source.prometheus);
    if (!isAllowed(url, hosts))
      throw new AdaptletError('METRIC_DENIED', `${url.host} is not one of the hosts that may be asked`);
    return 'http' in source
      ? await askHttp(fetcher, source.http, variables, signal)
      : await askPrometheus(fetcher, source.prometheus, variables, signal);
  };
