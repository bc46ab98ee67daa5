import { silentLog } from '../../../telemetry/log.fixture.ts';
import type { Identify } from '../../callers/caller.ts';
import { Callers } from '../../callers/callers.ts';
import { buildTable } from '../../routing/table.ts';

/** Anonymous callers of a loopback listener, without any policy. */
export const openIdentify = (): Identify => {
  const table = buildTable(new Map(), { name: 'tiny' });
  return new Callers({
    table: () => table,
    clock: { now: () => Date.now() },
    log: silentLog,
    anonymous: 'auto',
    defaultNamespace: 'default',
  }).on({ isLoopback: true });
};
