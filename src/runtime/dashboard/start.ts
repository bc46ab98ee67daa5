import { hostname } from 'node:os';
import type { Access } from '../../dashboard/handler.ts';
import { RolloutHistory } from '../../dashboard/history.ts';
import { startPage } from '../../dashboard/server.ts';
import { Timeline } from '../../dashboard/timeline.ts';
import { viewKinds } from '../../dashboard/views.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { RuntimeStatus } from '../admin/views.ts';
import { keyOf, nodeRollout, nodeViews } from './node-views.ts';

/** Milliseconds from one look at the status to the next. */
const lookEveryMs = 5_000;

export type NodeDashboardOptions = {
  /** `host:port`, on loopback. */
  readonly address: string;
  readonly status: () => RuntimeStatus;
  readonly clock: Clock;
  readonly logger: Log;
};

export type NodeDashboard = {
  readonly port: number;
  /** An adapter changed its state. */
  transition(change: { readonly key: string; readonly to: string; readonly reason: string }): void;
};

/**
 * Serves the dashboard of this node, and remembers for it. The stack ends both.
 * @throws CONFIG_INVALID when it cannot listen, or where others than this machine would reach it
 */
export const startNodeDashboard = async (
  { address, status, clock, logger }: NodeDashboardOptions,
  stack: AsyncDisposableStack,
): Promise<NodeDashboard> => {
  const name = hostname();
  const [history, timeline] = [new RolloutHistory(), new Timeline()];
  const happened = (what: string, message = ''): void =>
    timeline.happened(keyOf(name), clock.now(), what, message);
  let before: Pick<RuntimeStatus, 'engine' | 'operator'> | undefined;
  let known = new Set<string>();
  let stopTimer: (() => void) | undefined;
  const look = (): void => {
    const now = status();
    for (const rollout of now.rollouts) history.saw(nodeRollout(rollout), clock.now());
    const keys = new Set<string>(now.rollouts.map(({ key }) => key));
    for (const key of known) if (!keys.has(key)) history.forget(key);
    known = keys;
    if (now.engine !== before?.engine) happened(`Engine: ${now.engine}`);
    const { operator } = now;
    if (operator !== undefined && operator.state !== before?.operator?.state)
      happened(`Operator: ${operator.state}`, operator.lastError);
    if (operator !== undefined && operator.revision !== before?.operator?.revision)
      happened('Plan taken', `revision ${operator.revision}`);
    before = { engine: now.engine, ...(operator && { operator }) };
    stopTimer = clock.after(lookEveryMs, look);
  };
  look();
  stack.defer(() => stopTimer?.());
  const views = nodeViews({ status, name, history, timeline, since: clock.now() });
  const port = await startPage(address, { views, access, assertHere: () => undefined, logger }, stack);
  return { port, transition: ({ key, to, reason }) => happened(`${key}: ${to}`, reason) };
};

/** Names that only this machine has. A foreign page can get a name of its own to lead here, and its browser says that name. */
const localHost = /^(?:127\.\d+\.\d+\.\d+|localhost|\[::1\])(?::\d+)?$/;

const access: Access = async ({ headers }) => {
  if (localHost.test(headers.host ?? '')) return new Set(viewKinds);
  throw new AdaptletError(
    'VIEWER_FORBIDDEN',
    'the dashboard of a node answers to names of this machine alone',
    {
      advice: 'Open it as http://127.0.0.1:PORT, on the machine or through a forwarded port.',
    },
  );
};
