import { isDeepStrictEqual } from 'node:util';
import { isSameState } from '../../control/same-state.ts';
import type {
  AdapterReport,
  BaseModelReport,
  Elsewhere,
  LimitReport,
  Report,
  RolloutReport,
  RouteClassifiers,
  Usage,
} from '../../gen/adaptlet/control/v1/control.ts';
import type { Snapshot } from './snapshot.ts';

const empty: Report = {
  whole: false,
  adapters: [],
  gone: [],
  rollouts: [],
  goneRollouts: [],
  memory: undefined,
  disk: undefined,
  ready: undefined,
  message: '',
  removalsHeld: undefined,
  baseModel: undefined,
  limits: [],
  resumes: false,
  likeParts: [],
  classifiers: undefined,
};

export const wholeReport = (now: Snapshot): Report => ({
  ...empty,
  whole: true,
  adapters: [...now.adapters.values()],
  rollouts: [...now.rollouts.values()],
  memory: now.memory,
  disk: now.disk,
  ready: now.ready,
  message: now.message,
  removalsHeld: now.removalsHeld,
  baseModel: now.baseModel,
  limits: [...now.limits.values()],
  classifiers: { routes: [...now.classifiers.values()] },
});

/**
 * What is different since `before`, with the snapshot as the other end knows it afterwards; undefined: nothing.
 *
 * A rollout is told about when anything but its counts changed; its counts alone when `counters`, and so are the bytes of a
 * base model that arrived, and what limits refused. Use of RAM and disk
 * is told with any other news, and by itself when it moved by more than a hundredth of its budget.
 */
export const reportSince = (
  before: Snapshot,
  now: Snapshot,
  counters: boolean,
): { readonly report: Report; readonly told: Snapshot } | undefined => {
  const adapters = changed(before.adapters, now.adapters, isSameState);
  const sign = (r: RolloutReport): string =>
    counters ? `${rolloutSign(r)} ${countsSign(r)}` : rolloutSign(r);
  const rollouts = changed(before.rollouts, now.rollouts, (a, b) => sign(a) === sign(b));
  const limits = counters ? changed(before.limits, now.limits, (a, b) => a.refused === b.refused) : [];
  const gone = missing(before.adapters, now.adapters);
  const goneRollouts = missing(before.rollouts, now.rollouts);
  const routes = changedRoutes(before.classifiers, now.classifiers);
  const isArriving = now.baseModel.state === 'Downloading' && before.baseModel.state === 'Downloading';
  const readiness =
    before.ready !== now.ready || (before.message !== now.message && (counters || !isArriving));
  const removals =
    before.removalsHeld?.count !== now.removalsHeld?.count ||
    before.removalsHeld?.fingerprint !== now.removalsHeld?.fingerprint;
  const model =
    modelSign(before.baseModel) !== modelSign(now.baseModel) ||
    (counters && before.baseModel.receivedBytes !== now.baseModel.receivedBytes);
  const news =
    adapters.length + rollouts.length + gone.length + goneRollouts.length > 0 ||
    limits.length + routes.length > 0 ||
    readiness ||
    removals ||
    model;
  const memory = news ? differs(before.memory, now.memory) : moved(before.memory, now.memory);
  const disk = news ? differs(before.disk, now.disk) : moved(before.disk, now.disk);
  if (!news && !memory && !disk) return undefined;
  return {
    report: {
      ...empty,
      adapters,
      rollouts: rollouts.map((rollout) => newCounts(before.rollouts.get(rollout.key), rollout)),
      gone,
      goneRollouts,
      ...(memory ? { memory: now.memory } : {}),
      ...(disk ? { disk: now.disk } : {}),
      ...(readiness ? { ready: now.ready, message: now.message } : {}),
      ...(model ? { baseModel: now.baseModel } : {}),
      ...(removals ? { removalsHeld: now.removalsHeld ?? noRemovals } : {}),
      limits,
      ...(routes.length > 0 ? { classifiers: { routes } } : {}),
    },
    told: {
      ...now,
      rollouts: toldRollouts(before.rollouts, now.rollouts, rollouts),
      memory: memory ? now.memory : before.memory,
      disk: disk ? now.disk : before.disk,
      baseModel: model ? now.baseModel : before.baseModel,
      limits: counters ? now.limits : before.limits,
      // Of a model on its way the message tells the bytes, and goes with them.
      message: readiness ? now.message : before.message,
    },
  };
};

/** The first report of a stream whose other end knows `before`: all that is different; what is not a list always. */
export const resumedReport = (before: Snapshot, now: Snapshot): Report => {
  const { ready, message, memory, disk, baseModel } = now;
  const report = reportSince(before, now, true)?.report ?? empty;
  const removalsHeld = now.removalsHeld ?? report.removalsHeld;
  return { ...report, resumes: true, ready, message, memory, disk, baseModel, removalsHeld };
};

/** Something was forgotten that a report of what changed cannot take back: the other end goes on knowing it. */
export const forgets = (before: Snapshot, now: Snapshot): boolean =>
  missing(before.limits, now.limits).length > 0 ||
  before.rollouts.entries().some(([key, told]) => lostCounts(told, now.rollouts.get(key)));

const lostCounts = (told: RolloutReport, now: RolloutReport | undefined): boolean => {
  if (told === now || now === undefined || told.counts.length === 0 || !isSameTrial(told, now)) return false;
  const weights = new Set(now.counts.map(({ weight }) => weight));
  return told.counts.some(({ weight }) => !weights.has(weight));
};

const noRemovals = { count: 0, fingerprint: '', remainingMs: 0n };

const changed = <T extends AdapterReport | RolloutReport | LimitReport | RouteClassifiers>(
  before: ReadonlyMap<string, T>,
  now: ReadonlyMap<string, T>,
  isSame: (old: T, value: T) => boolean,
): T[] => {
  if (before === now) return [];
  const found: T[] = [];
  for (const [key, value] of now) {
    const old = before.get(key);
    if (old !== value && (old === undefined || !isSame(old, value))) found.push(value);
  }
  return found;
};

/** One that has no classifiers any more is told without. */
const changedRoutes = (before: Snapshot['classifiers'], now: Snapshot['classifiers']): RouteClassifiers[] => [
  ...changed(before, now, isDeepStrictEqual),
  ...missing(before, now).map((key) => ({ key, classifiers: [] })),
];

const missing = (before: ReadonlyMap<string, unknown>, now: ReadonlyMap<string, unknown>): string[] =>
  before === now ? [] : [...before.keys()].filter((key) => !now.has(key));

/** Counts that were not sent stay as they were told. */
const toldRollouts = (
  before: Snapshot['rollouts'],
  now: Snapshot['rollouts'],
  sent: readonly RolloutReport[],
): Snapshot['rollouts'] => {
  if (before === now) return now;
  const told = new Set(sent.map(({ key }) => key));
  let all: Map<string, RolloutReport> | undefined;
  for (const [key, value] of now) {
    const old = before.get(key);
    if (old === undefined || old === value || told.has(key)) continue;
    all ??= new Map(now);
    all.set(key, old);
  }
  return all ?? now;
};

/** All but how many bytes of it are here, and the message that says so. */
const modelSign = (model: BaseModelReport): string => {
  const { source, state, reason, manifestDigest, totalBytes, baseDigest, executionProvider } = model;
  const message = state === 'Downloading' ? '' : model.message;
  return JSON.stringify([
    source,
    state,
    reason,
    message,
    manifestDigest,
    String(totalBytes),
    baseDigest,
    executionProvider,
    model.refusedProviders,
    Object.entries(model.operators),
    model.limits,
  ]);
};

const rolloutSign = (r: RolloutReport): string =>
  JSON.stringify([
    r.uid,
    r.stableDigest,
    r.canaryDigest,
    r.attempt,
    r.weight,
    r.effectiveWeight,
    r.holds,
    r.mirror?.percentage,
  ]);

const countsSign = (r: RolloutReport): string =>
  JSON.stringify([
    String(r.servedStable),
    String(r.servedCanary),
    r.counts.map(({ weight, seq }) => [weight, String(seq)]),
    r.elsewhere.map(({ seq }) => String(seq)),
    mirrorSign(r.mirror),
  ]);

/** Sums change only with what is counted. */
const mirrorSign = (mirror: RolloutReport['mirror']): string =>
  mirror === undefined
    ? ''
    : [mirror.requests, mirror.failed, mirror.dropped, mirror.compared, mirror.equal, mirror.timed].join();

/** Of the counts of each weight, and of feedback about answers of others, which are long, only what the other end does not know. */
const newCounts = (before: RolloutReport | undefined, now: RolloutReport): RolloutReport => {
  if (before === undefined || !isSameTrial(before, now)) return now;
  const told = new Map(before.counts.map(({ weight, seq }) => [weight, seq]));
  return {
    ...now,
    counts: now.counts.filter(({ weight, seq }) => told.get(weight) !== seq),
    elsewhere: newElsewhere(before.elsewhere, now.elsewhere),
  };
};

const placeOf = ({ origin, weight }: Elsewhere): string => `${origin.toString('hex')} ${weight}`;

const newElsewhere = (before: readonly Elsewhere[], now: readonly Elsewhere[]): Elsewhere[] => {
  const told = new Map(before.map((one) => [placeOf(one), one]));
  return now.flatMap((one) => {
    const last = told.get(placeOf(one));
    if (last === undefined) return [one];
    if (last.seq === one.seq) return [];
    const known = new Map(last.numbers.map((number, i) => [number, last.rewards[i]]));
    const isNew = (_: number, i: number): boolean => known.get(one.numbers[i] ?? 0) !== one.rewards[i];
    const newOf = (list: readonly number[]): number[] => list.filter(isNew);
    return [{ ...one, numbers: newOf(one.numbers), sides: newOf(one.sides), rewards: newOf(one.rewards) }];
  });
};

/** Counts are about one attempt of one canary. */
const isSameTrial = (a: RolloutReport, b: RolloutReport): boolean =>
  a.uid === b.uid && a.canaryDigest === b.canaryDigest && a.attempt === b.attempt;

const differs = (a: Usage, b: Usage): boolean =>
  a.usedBytes !== b.usedBytes || a.budgetBytes !== b.budgetBytes;

const moved = (a: Usage, b: Usage): boolean => {
  const by = a.usedBytes > b.usedBytes ? a.usedBytes - b.usedBytes : b.usedBytes - a.usedBytes;
  return a.budgetBytes !== b.budgetBytes || by * 100n > b.budgetBytes;
};
