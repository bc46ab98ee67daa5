import { isDeepStrictEqual } from 'node:util';
import { maxStatusMessage } from '../../api/condition.ts';
import { type Digest, isDigest, namespaceOf, type ObjectKey } from '../../api/names.ts';
import { countsFromWire } from '../../control/arm-counts.ts';
import { copiesFromWire } from '../../control/copies-wire.ts';
import { isClientName } from '../../control/key.ts';
import type { Revision } from '../../control/revision.ts';
import { elsewhereFromWire } from '../../control/rewards-wire.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import type {
  AdapterReport,
  BaseModelReport,
  ClassifierReports,
  Hold,
  LimitReport,
  Refusal,
  Report,
  RolloutReport,
  Usage as WireUsage,
} from '../../gen/adaptlet/control/v1/control.ts';
import { isWithin, type Scope } from '../objects/scope.ts';
import type {
  AdapterState,
  HeldCanary,
  ModelProgress,
  RolloutState,
  RuntimeKey,
  RuntimeState,
  Usage,
} from './fleet.ts';
import { bounded } from './size.ts';

/** What a report says, checked and bounded. Absent: as before. */
export type Change = {
  /** It has everything: what is not in it is gone. */
  readonly whole: boolean;
  readonly adapters: ReadonlyMap<ObjectKey, AdapterState>;
  readonly gone: readonly ObjectKey[];
  readonly rollouts: ReadonlyMap<ObjectKey, RolloutState>;
  readonly goneRollouts: readonly ObjectKey[];
  readonly memory?: Usage;
  readonly disk?: Usage;
  readonly ready?: { readonly ok: boolean; readonly message: string };
  readonly removalsHeld?: NonNullable<RuntimeState['removalsHeld']>;
  readonly model?: ModelProgress;
  readonly limits?: NonNullable<RuntimeState['limits']>;
  /** By route; of one without, an empty list. */
  readonly classifiers?: NonNullable<RuntimeState['classifiers']>;
  /** Known once the base model was loaded: what the Hello could not say yet. */
  readonly loaded?: Pick<RuntimeState['info'], 'baseDigest' | 'executionProvider'>;
};

/** Reports of one connection of a runtime, from the first on: what is known of it is what they said. */
export type Kept = { readonly connectionSeq: bigint; readonly count: bigint };

/** Something about one connection of a runtime. */
export type Update = {
  readonly key: RuntimeKey;
  readonly kind: RuntimeState['kind'];
  readonly instance: string;
  readonly connectionSeq: bigint;
  /** There in the first update about a connection from one source. */
  readonly opened?: Pick<RuntimeState, 'info' | 'connectedAt'>;
  /** There in the first update about a connection whose change is what differs from these. */
  readonly resumes?: Kept;
  readonly change?: Change;
  readonly acknowledged?: Revision;
  readonly refused?: ReadonlyMap<string, string>;
};

/** Whether it is the process that is known, with the same facts about itself: nothing but what it reports may be other than before. */
export const isSameProcess = (
  known: Pick<RuntimeState, 'kind' | 'instance' | 'info'>,
  { kind, instance, info }: Pick<RuntimeState, 'kind' | 'instance' | 'info'>,
): boolean => known.kind === kind && known.instance === instance && isDeepStrictEqual(known.info, info);

/** The update without what is about other namespaces than the one of the scope. */
export const within = (scope: Scope, update: Update): Update => {
  if (scope === undefined) return update;
  const { change, refused } = update;
  const isOwn = (key: ObjectKey): boolean => isWithin(scope, key);
  return {
    ...update,
    ...(change === undefined
      ? {}
      : {
          change: {
            ...change,
            adapters: onlyOf(change.adapters, isOwn),
            gone: change.gone.filter(isOwn),
            rollouts: onlyOf(change.rollouts, isOwn),
            goneRollouts: change.goneRollouts.filter(isOwn),
            ...(change.limits === undefined
              ? {}
              : { limits: onlyOf(change.limits, (name) => isOwn(name as ObjectKey)) }),
            ...(change.classifiers === undefined ? {} : { classifiers: onlyOf(change.classifiers, isOwn) }),
          },
        }),
    ...(refused === undefined
      ? {}
      : { refused: onlyOf(refused, (key) => isOwn((key.split(' ')[1] ?? '') as ObjectKey)) }),
  };
};

const onlyOf = <K, V>(entries: ReadonlyMap<K, V>, isKept: (key: K) => boolean): ReadonlyMap<K, V> =>
  new Map([...entries].filter(([key]) => isKept(key)));

/** Most adapters, and most rollouts, of one report and of one runtime. */
export const maxReported = 50_000;
const maxName = 128;
/** Of a reason that a status may quote. */
const maxReason = 512;
const maxSource = 1024;
const maxModules = 64;
const maxModule = 256;
const maxHolds = 64;
/** There are no more weights. */
const maxWeights = 100;
/** Most resources that a runtime is told to refuse. */
export const maxRefused = 10_000;
const maxProviders = 16;
/** A route has no more. */
const maxClassifiers = 8;
/** Limits of namespaces, of one report and of one runtime. */
export const maxLimits = 10_000;

/**
 * Reads what a runtime reports.
 * @throws HELLO_INVALID for what no runtime sends; long texts are cut
 */
export const changeFromWire = (report: Report): Change => {
  const { adapters, rollouts, gone, goneRollouts } = report;
  for (const list of [adapters, rollouts, gone, goneRollouts]) {
    if (list.length > maxReported)
      throw invalid(`a report has ${list.length} entries, at most ${maxReported}`);
  }
  return {
    whole: report.whole,
    adapters: new Map(adapters.map((each) => [keyFrom(each.key), adapterFrom(each)])),
    gone: gone.map(keyFrom),
    rollouts: new Map(rollouts.map((each) => [keyFrom(each.key), rolloutFrom(each)])),
    goneRollouts: goneRollouts.map(keyFrom),
    ...(report.memory === undefined ? {} : { memory: usageFrom(report.memory) }),
    ...(report.disk === undefined ? {} : { disk: usageFrom(report.disk) }),
    ...(report.ready === undefined
      ? {}
      : { ready: { ok: report.ready, message: bounded(report.message, maxStatusMessage) } }),
    ...(report.removalsHeld === undefined
      ? {}
      : {
          removalsHeld: {
            count: report.removalsHeld.count,
            fingerprint: bounded(report.removalsHeld.fingerprint, maxName),
            remainingMs: numberFrom(report.removalsHeld.remainingMs),
          },
        }),
    ...(report.baseModel === undefined ? {} : modelFrom(report.baseModel)),
    ...(report.limits.length === 0 ? {} : { limits: limitsFrom(report.limits) }),
    ...(report.classifiers === undefined ? {} : { classifiers: classifiersFrom(report.classifiers) }),
  };
};

const classifiersFrom = ({ routes }: ClassifierReports): NonNullable<RuntimeState['classifiers']> => {
  if (routes.length > maxReported)
    throw invalid(`a report is about ${routes.length} routes, at most ${maxReported}`);
  return new Map(
    routes.map(({ key, classifiers }) => [
      keyFrom(key),
      classifiers.slice(0, maxClassifiers).map(({ name, digest, state, message }) => ({
        name: bounded(name, maxName),
        digest: digestFrom(digest),
        state: bounded(state, maxName),
        message: bounded(message, maxReason),
      })),
    ]),
  );
};

const limitsFrom = (limits: readonly LimitReport[]): ReadonlyMap<string, number> => {
  if (limits.length > maxLimits) throw invalid(`a report has ${limits.length} limits, at most ${maxLimits}`);
  return new Map(
    limits.map(({ namespace, limit, refused }) => {
      if (!/^[A-Za-z]{1,32}$/.test(limit))
        throw invalid(`a report is about the limit ${quoteUntrusted(limit)}`);
      return [`${namespaceOf(keyFrom(`${namespace}/x`))}/${limit}`, numberFrom(refused)];
    }),
  );
};

const modelFrom = (report: BaseModelReport): Pick<Change, 'model' | 'loaded'> => {
  const baseDigest = digestFrom(report.baseDigest);
  const executionProvider = bounded(report.executionProvider, maxName);
  return {
    model: {
      source: bounded(report.source, maxSource),
      state: bounded(report.state, maxName),
      reason: bounded(report.reason, maxName),
      message: bounded(report.message, maxStatusMessage),
      manifestDigest: digestFrom(report.manifestDigest),
      receivedBytes: numberFrom(report.receivedBytes),
      totalBytes: numberFrom(report.totalBytes),
      refusedProviders: report.refusedProviders.slice(0, maxProviders).map(({ provider, reason }) => ({
        provider: bounded(provider, maxName),
        reason: bounded(reason, maxStatusMessage),
      })),
      operators: Object.fromEntries(
        Object.entries(report.operators)
          .slice(0, maxProviders)
          .map(([provider, count]) => [bounded(provider, maxName), count]),
      ),
      limits: report.limits.slice(0, maxProviders).map((limit) => bounded(limit, maxStatusMessage)),
    },
    ...(baseDigest === '' ? {} : { loaded: { baseDigest, executionProvider } }),
  };
};

/**
 * Reasons by resource key.
 * @throws HELLO_INVALID
 */
export const refusedFromWire = (refused: readonly Refusal[]): ReadonlyMap<string, string> => {
  if (refused.length > maxRefused)
    throw invalid(`${refused.length} resources are refused, at most ${maxRefused}`);
  return new Map(refused.map(({ key, reason }) => [bounded(key, 400), bounded(reason, maxReason)]));
};

const invalid = (what: string): AdaptletError => new AdaptletError('HELLO_INVALID', what);

const keyFrom = (key: string): ObjectKey => {
  if (!isClientName(key))
    throw invalid(`a report is about ${quoteUntrusted(key)}, which is no namespace/name`);
  return key as ObjectKey;
};

const digestFrom = (digest: string): Digest | '' => {
  if (digest === '' || isDigest(digest)) return digest;
  throw invalid(`a report has ${quoteUntrusted(digest)} where a digest belongs`);
};

/** Numbers above 2^53 lose their last digits. */
const numberFrom = (value: bigint): number => Math.min(Number(value), Number.MAX_SAFE_INTEGER);

const usageFrom = ({ budgetBytes, usedBytes }: WireUsage): Usage => ({
  budgetBytes: numberFrom(budgetBytes),
  usedBytes: numberFrom(usedBytes),
});

const adapterFrom = (report: AdapterReport): AdapterState => ({
  uid: bounded(report.uid, maxName),
  digest: digestFrom(report.digest),
  // A newer runtime may have states that are not known here.
  state: bounded(report.state, maxName),
  reason: bounded(report.reason, maxName),
  message: bounded(report.message, maxStatusMessage),
  isFinal: report.isFinal,
  inTurn: report.inTurn,
  storedBytes: numberFrom(report.storedBytes),
  residentBytes: numberFrom(report.residentBytes),
  neededBytes: numberFrom(report.neededBytes),
  rank: report.rank,
  targetModules: report.targetModules.slice(0, maxModules).map((name) => bounded(name, maxModule)),
});

const toldFrom = (all: RolloutReport['elsewhere']): Pick<RolloutState, 'elsewhere'> => {
  const elsewhere = elsewhereFromWire(all);
  return elsewhere.size === 0 ? {} : { elsewhere };
};

const rolloutFrom = (report: RolloutReport): RolloutState => ({
  uid: bounded(report.uid, maxName),
  stableDigest: digestFrom(report.stableDigest),
  canaryDigest: digestFrom(report.canaryDigest),
  attempt: report.attempt,
  weight: Math.min(100, report.weight),
  effectiveWeight: Math.min(100, report.effectiveWeight),
  served: { stable: numberFrom(report.servedStable), canary: numberFrom(report.servedCanary) },
  holds: report.holds.slice(0, maxHolds).flatMap(holdFrom),
  counts: countsFrom(report.counts),
  ...toldFrom(report.elsewhere),
  ...(report.mirror === undefined ? {} : { mirror: copiesFromWire(report.mirror) }),
});

const countsFrom = (counts: RolloutReport['counts']): RolloutState['counts'] => {
  if (counts.length <= maxWeights) return counts.map(countsFromWire);
  throw invalid(`a rollout has counts of ${counts.length} weights, there are ${maxWeights}`);
};

const holdFrom = ({ digest, cause, reason, attempt }: Hold): HeldCanary[] => {
  const held = digestFrom(digest);
  if (held === '') return [];
  // A cause that is not known here is left to people, as one that a person set on the node.
  return [
    {
      digest: held,
      cause: cause === 'Guard' ? 'Guard' : 'BreakGlass',
      reason: bounded(reason, maxStatusMessage),
      attempt,
    },
  ];
};
