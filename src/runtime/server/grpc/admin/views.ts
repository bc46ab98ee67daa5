import type { MetricStatus, RolloutStatus } from '../../../../api/rollout-status.ts';
import type {
  Adapter,
  Metric,
  Mirrored,
  Operator,
  Rollout,
  StatusResponse,
} from '../../../../gen/adaptlet/inference/v1/admin.ts';
import type { OperatorView, RolloutView, RuntimeStatus } from '../../../admin/views.ts';
import type { AdapterView } from '../../../residency/adapter-view.ts';

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

const metricMessage = (metric: MetricStatus): Metric => {
  const { name, step, phase, taken, failed, inconclusive, consecutiveErrors, variants } = metric;
  return {
    name,
    step: step === undefined ? 0 : step + 1,
    phase,
    taken,
    failed,
    inconclusive,
    consecutiveErrors,
    value: metric.value,
    bound: metric.bound,
    message: metric.message,
    stable: variants?.stable,
    canary: variants?.canary,
  };
};

const mirroredMessage = (status: RolloutStatus | undefined): Mirrored | undefined => {
  const { mirror, weights } = status ?? {};
  if (mirror === undefined && weights?.mirror === undefined) return undefined;
  return {
    percentage: weights?.mirror ?? 0,
    requests: uint(mirror?.requests ?? 0),
    failed: uint(mirror?.failed ?? 0),
    dropped: uint(mirror?.dropped ?? 0),
    compared: uint(mirror?.compared ?? 0),
    equal: mirror?.equal,
    similarity: mirror?.similarity,
    latencyRatio: mirror?.latencyRatio,
  };
};

export const rolloutMessage = ({ served, object, ...view }: RolloutView): Rollout => ({
  ...view,
  servedStable: uint(served.stable),
  servedCanary: uint(served.canary),
  metrics: (object?.status?.analysis ?? []).map(metricMessage),
  mirrored: mirroredMessage(object?.status),
});

const operatorMessage = ({ removalsHeld, refused, ...view }: OperatorView): Operator => ({
  ...view,
  refused: [...refused],
  removalsHeld:
    removalsHeld === undefined
      ? undefined
      : { count: removalsHeld.count, remainingMs: uint(removalsHeld.remainingMs) },
});

const kvMessage = (kv: RuntimeStatus['keysAndValues']): StatusResponse['keysAndValues'] =>
  kv && { ...kv, bytesPerToken: uint(kv.bytesPerToken), budgetBytes: uint(kv.budgetBytes) };

const pressureMessage = (view: RuntimeStatus['memoryPressure']): StatusResponse['memoryPressure'] => ({
  ...view,
  limitBytes: uint(view.limitBytes),
  usedBytes: uint(view.usedBytes),
  adapterBudgetBytes: uint(view.adapterBudgetBytes),
  adapterFullBytes: uint(view.adapterFullBytes),
  kvBudgetBytes: uint(view.kvBudgetBytes),
  kvFullBytes: uint(view.kvFullBytes),
  shrinks: uint(view.shrinks),
  refused: uint(view.refused),
  kills: uint(view.kills),
});

export const statusMessage = (status: RuntimeStatus): StatusResponse => {
  const { operator } = status;
  return {
    ...status,
    operator: operator === undefined ? undefined : operatorMessage(operator),
    model: {
      ...status.model,
      receivedBytes: uint(status.model.receivedBytes),
      totalBytes: uint(status.model.totalBytes),
    },
    memory: budget(status.memory),
    memoryPressure: pressureMessage(status.memoryPressure),
    shortages: status.shortages.map(({ neededBytes, budgetBytes, ...limit }) => ({
      ...limit,
      neededBytes: uint(neededBytes),
      budgetBytes: uint(budgetBytes),
    })),
    disk: budget(status.disk),
    refusedProviders: [...status.refusedProviders],
    loraOperator: status.loraOperator,
    operators: { ...status.operators },
    limits: [...status.limits],
    keysAndValues: kvMessage(status.keysAndValues),
    manifests: { ...status.manifests, problems: [...status.manifests.problems] },
    adapters: status.adapters.map(adapterMessage),
    rollouts: status.rollouts.map(rolloutMessage),
    routes: [...status.routes],
  };
};
