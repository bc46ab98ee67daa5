import type { MetricStatus } from '../../../../api/rollout-status.ts';
import type {
  Adapter,
  Metric,
  Operator,
  Rollout,
  StatusResponse,
} from '../../../../gen/adaptlet/inference/v1/admin.ts';
import type { AdapterView, OperatorView, RolloutView, RuntimeStatus } from '../../../serving/serving.ts';

/** Counts and sizes are whole and not negative on the wire. */
const uint = (value: number): bigint => BigInt(Math.max(0, Math.round(value)));

const budget = (b: RuntimeStatus['memory']) => ({
  budgetBytes: uint(b.budgetBytes),
  usedBytes: uint(b.usedBytes),
});

export const adapterMessage = (view: AdapterView): Adapter => ({
  ...view,
  storedBytes: uint(view.storedBytes),
  residentBytes: uint(view.residentBytes),
  targetModules: [...view.targetModules],
});

const metricMessage = ({ step, variants, measured: _, waitedMs: __, ...metric }: MetricStatus): Metric => ({
  ...metric,
  value: metric.value,
  bound: metric.bound,
  step: step === undefined ? 0 : step + 1,
  stable: variants?.stable,
  canary: variants?.canary,
});

export const rolloutMessage = ({ served, object, ...view }: RolloutView): Rollout => ({
  ...view,
  servedStable: uint(served.stable),
  servedCanary: uint(served.canary),
  metrics: (object?.status?.analysis ?? []).map(metricMessage),
});

const operatorMessage = ({ removalsHeld, refused, ...view }: OperatorView): Operator => ({
  ...view,
  refused: [...refused],
  removalsHeld:
    removalsHeld === undefined
      ? undefined
      : { count: removalsHeld.count, remainingMs: uint(removalsHeld.remainingMs) },
});

export const statusMessage = (status: RuntimeStatus): StatusResponse => {
  const { operator } = status;
  return {
    ...status,
    operator: operator === undefined ? undefined : operatorMessage(operator),
    memory: budget(status.memory),
    disk: budget(status.disk),
    manifests: { ...status.manifests, problems: [...status.manifests.problems] },
    adapters: status.adapters.map(adapterMessage),
    rollouts: status.rollouts.map(rolloutMessage),
    routes: [...status.routes],
  };
};
