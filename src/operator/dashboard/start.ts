import { RolloutHistory } from '../../dashboard/history.ts';
import { startPage } from '../../dashboard/server.ts';
import { Timeline } from '../../dashboard/timeline.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { Log } from '../../telemetry/log.ts';
import { Viewers } from './access.ts';
import { type ObjectViewParts, objectViews } from './objects-view.ts';
import { record } from './recorder.ts';

export type DashboardOptions = Omit<ObjectViewParts, 'history' | 'timeline' | 'since'> & {
  /** `host:port`, on loopback. */
  readonly address: string;
  readonly api: KubeApi;
  readonly logger: Log;
  /** Undefined: this replica leads; else the identity of the one that does, '' where nobody is known to. */
  readonly leaderElsewhere: () => string | undefined;
};

/**
 * Serves the dashboard, and remembers for it. The stack ends both. Gives the port.
 * @throws CONFIG_INVALID when it cannot listen, or where others than this pod would reach it
 */
export const startDashboard = async (
  options: DashboardOptions,
  stack: AsyncDisposableStack,
): Promise<number> => {
  const { address, api, clock, logger, leaderElsewhere } = options;
  const remembered = { history: new RolloutHistory(), timeline: new Timeline() };
  stack.defer(record({ ...options, ...remembered }));
  const viewers = new Viewers({ api, clock });
  const page = {
    views: objectViews({ ...options, ...remembered, since: clock.now() }),
    access: viewers.access,
    assertHere: () => {
      const leader = leaderElsewhere();
      if (leader === undefined) return;
      throw new AdaptletError(
        'NOT_LEADER',
        leader === '' ? 'no replica leads now' : `the replica ${leader} leads, and this one does not`,
        { advice: '`kubectl adaptlet dashboard` finds the one that leads.' },
      );
    },
    logger,
  };
  return await startPage(address, page, stack);
};
