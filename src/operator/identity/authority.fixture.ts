import type { KubeApi } from '../../kube/client/api.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import { Authority } from './authority.ts';

export const day = 86_400_000;

/** The authority of one replica, as it starts: valid for 40 days and renewed after 20; certificates last 2 days. */
export const openAuthority = (
  replica: string,
  { api, clock, logger }: { readonly api: KubeApi; readonly clock: Clock; readonly logger: Log },
  signal = new AbortController().signal,
): Promise<Authority> =>
  Authority.open(
    {
      api,
      namespace: 'adaptlet-system',
      replica,
      names: ['localhost', '127.0.0.1'],
      clock,
      logger,
      random: () => 0.5,
      lifetimes: {
        authority: 40 * day,
        renewBefore: 20 * day,
        publish: 5 * day,
        certificate: 2 * day,
        serving: 2 * day,
        lag: day,
      },
    },
    signal,
  );
