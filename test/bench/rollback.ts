import { type Report, report, variant } from './report.ts';
import { guardTimes } from './rollback/guard.ts';
import { operatorAbortTimes, runtimes } from './rollback/operator-abort.ts';

/**
 * How long a canary that must go is still asked. `guard`: on one node without an operator, from the failure that crosses
 * the limit of its guard to the last answer that the canary began, as its client saw it. `operator_abort`: from the request
 * to abort to the last request that one of the runtimes gave it. `failed_requests`: failures beyond those that it took to
 * cross the limit, over all trips.
 */
export const rollback = async (): Promise<Report> => {
  const guard = await guardTimes();
  const abort = await operatorAbortTimes();
  return report('rollback', 'ms', {
    results: { guard: variant(guard.ms), operator_abort: variant(abort) },
    ratios: { failed_requests: guard.failedBeyond },
    setup: {
      model: 'tiny fp32',
      trips: guard.tripped,
      lanes: 12,
      places: 12,
      weight: 50,
      runtimes,
      operators: 1,
    },
  });
};
