import { isDeepStrictEqual } from 'node:util';
import type {
  AdapterReport,
  ArmCounts,
  Report,
  RolloutReport,
  SyncRequest,
} from '../../src/gen/adaptlet/control/v1/control.ts';
import type { Dial, SyncStream } from '../../src/runtime/sync/dial.ts';

/**
 * What a runtime says falsely. states: that its adapters failed, or that it has what it does not have. counts: that the
 * canary fails, in numbers that fall again. names: adapters and rollouts of others, and other digests.
 */
export type Lie = 'states' | 'counts' | 'names';

/** Between two false reports of a stream. */
const everyMs = 3000;

/** Chances and choices of a liar. */
type Random = () => number;

const pick = <T>(random: Random, from: readonly T[], fallback: T): T =>
  from[Math.floor(random() * from.length)] ?? fallback;

const falseDigest = (random: Random): string =>
  `sha256:${Math.floor(random() * 2 ** 48)
    .toString(16)
    .padStart(64, 'f')}`;

/** Failed for good, half of the time; else something on its way, or done. */
const falseState = (adapter: AdapterReport, random: Random): AdapterReport => {
  const state = pick(random, ['Failed', 'Failed', 'Failed', 'Fetching', 'Resident', 'Resident'], 'Failed');
  return state === 'Failed'
    ? { ...adapter, state, reason: 'ADAPTER_NOT_FINITE', message: 'a lie', isFinal: true }
    : { ...adapter, state };
};

const buckets = 64;
const armOf = (requests: number, errors: number): ArmCounts => ({
  requests: Array.from({ length: buckets }, () => requests),
  errors: Array.from({ length: buckets }, () => errors),
  logLatency: Array.from({ length: buckets }, () => requests * 3),
  logLatencySquares: requests * buckets * 9,
  latencyMs: requests * buckets * 20,
  latencyFirst: 70,
  latencyCounts: [requests * buckets],
  feedbacks: [],
  rewards: [],
  rewardSquares: 0,
});

const falseCounts = (rollout: RolloutReport, random: Random, seq: bigint): RolloutReport => {
  const requests = Math.floor(random() * 10_000);
  return {
    ...rollout,
    servedStable: BigInt(requests),
    servedCanary: BigInt(requests),
    counts:
      rollout.canaryDigest === ''
        ? []
        : [
            {
              weight: Math.max(1, rollout.weight),
              seq,
              stable: armOf(requests, 0),
              canary: armOf(requests, Math.floor(requests * random())),
              rewarded: undefined,
            },
          ],
  };
};

const elsewhere = (key: string, random: Random): string =>
  pick(random, [key.replace(/^[^/]+/, 'kube-system'), `${key}-x`, 'team/nobody'], key);

/** The report as a liar sends it. */
export const falseReport = (lie: Lie, report: Report, random: Random, seq: bigint): Report => {
  const { adapters, rollouts } = report;
  switch (lie) {
    case 'states':
      return { ...report, adapters: adapters.map((adapter) => falseState(adapter, random)) };
    case 'counts':
      return { ...report, rollouts: rollouts.map((rollout) => falseCounts(rollout, random, seq)) };
    case 'names':
      return {
        ...report,
        adapters: adapters.flatMap((adapter) => [
          // Half of the time it is believed.
          random() < 0.5 ? adapter : { ...adapter, digest: falseDigest(random) },
          { ...adapter, key: elsewhere(adapter.key, random), state: 'Failed', isFinal: true },
        ]),
        rollouts: rollouts.flatMap((rollout) => [
          { ...rollout, canaryDigest: falseDigest(random), effectiveWeight: 100 },
          { ...rollout, key: elsewhere(rollout.key, random), weight: 100 },
        ]),
      };
  }
};

const empty: Report = {
  whole: false,
  resumes: false,
  likeParts: [],
  adapters: [],
  gone: [],
  rollouts: [],
  goneRollouts: [],
  memory: undefined,
  disk: undefined,
  ready: undefined,
  message: '',
  removalsHeld: undefined,
  limits: [],
  classifiers: undefined,
  baseModel: undefined,
};

/**
 * Dials as `dial` does, for a runtime that lies in each report and again every few seconds, about what it reported last.
 * `told`: called for each report that goes out otherwise than it is.
 */
export const lyingDial = (dial: Dial, lie: Lie, random: Random, told: () => void): Dial => {
  let seq = 1n;
  const falsified = (report: Report): SyncRequest => {
    const value = falseReport(lie, report, random, ++seq);
    if (!isDeepStrictEqual(value, report)) told();
    return { message: { $case: 'report', value } };
  };
  return async (listener) => {
    const adapters = new Map<string, AdapterReport>();
    const rollouts = new Map<string, RolloutReport>();
    let stream: SyncStream;
    let timer: NodeJS.Timeout | undefined;
    const sendLie = (request: SyncRequest, sent: () => void): void => {
      const { message } = request;
      if (message?.$case !== 'report') {
        stream.send(request, sent);
        return;
      }
      const { value } = message;
      for (const adapter of value.adapters) adapters.set(adapter.key, adapter);
      for (const gone of value.gone) adapters.delete(gone);
      for (const rollout of value.rollouts) rollouts.set(rollout.key, rollout);
      for (const gone of value.goneRollouts) rollouts.delete(gone);
      stream.send(falsified(value), sent);
    };
    stream = await dial({
      message: (message) => listener.message(message),
      closed: (why) => {
        clearInterval(timer);
        listener.closed(why);
      },
    });
    timer = setInterval(() => {
      if (adapters.size + rollouts.size === 0) return;
      const value = { ...empty, adapters: [...adapters.values()], rollouts: [...rollouts.values()] };
      stream.send(falsified(value), () => undefined);
    }, everyMs);
    timer.unref();
    return { send: sendLie, cancel: () => stream.cancel() };
  };
};
