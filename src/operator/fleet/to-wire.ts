import type { ObjectKey } from '../../api/names.ts';
import { countsToWire } from '../../control/arm-counts.ts';
import { copiesToWire } from '../../control/copies-wire.ts';
import { revisionToWire } from '../../control/revision.ts';
import { elsewhereToWire } from '../../control/rewards-wire.ts';
import {
  type AdapterReport,
  type BaseModelReport,
  type ClassifierReports,
  Identity_Kind,
  type Report,
  type RolloutReport,
  type RuntimeReport,
} from '../../gen/adaptlet/control/v1/control.ts';
import type { AdapterState, RolloutState, RuntimeState } from './fleet.ts';

/** What to tell of a runtime: everything, or these and what is short. */
export type Part =
  | 'Whole'
  | {
      readonly adapters: ReadonlySet<ObjectKey>;
      readonly rollouts: ReadonlySet<ObjectKey>;
      /** Of whose classifiers. Absent: none. */
      readonly routes?: ReadonlySet<ObjectKey>;
    };

/** What is known of a runtime, as one replica tells another. */
export const runtimeToWire = (state: RuntimeState, part: Part): RuntimeReport => {
  const [namespace = '', name = ''] = state.key.split('/');
  const { info } = state;
  return {
    identity: { namespace, name, kind: state.kind === 'Node' ? Identity_Kind.NODE : Identity_Kind.POD },
    instance: state.instance,
    connectionSeq: state.connectionSeq,
    info: part === 'Whole' ? { ...info, connectedAt: new Date(state.connectedAt).toISOString() } : undefined,
    report: reportOf(state, part),
    acknowledged: revisionToWire(state.acknowledged),
    refused: [...state.refused].map(([key, reason]) => ({ key, version: '', reason })),
    example: 0,
    exampleParts: 0,
    like: 0,
  };
};

const reportOf = (state: RuntimeState, part: Part): Report => {
  const whole = part === 'Whole';
  const adapters = whole ? state.adapters.keys() : part.adapters;
  const rollouts = whole ? state.rollouts.keys() : part.rollouts;
  const routes = whole ? state.classifiers?.keys() : part.routes?.size ? part.routes : undefined;
  const known = { adapters: split(adapters, state.adapters), rollouts: split(rollouts, state.rollouts) };
  return {
    whole,
    resumes: false,
    likeParts: [],
    adapters: known.adapters.there.map(([key, adapter]) => adapterToWire(key, adapter)),
    gone: known.adapters.gone,
    rollouts: known.rollouts.there.map(([key, rollout]) => rolloutToWire(key, rollout)),
    goneRollouts: known.rollouts.gone,
    memory: usageToWire(state.memory),
    disk: usageToWire(state.disk),
    ready: state.ready,
    message: state.message,
    removalsHeld:
      state.removalsHeld === undefined
        ? { count: 0, fingerprint: '', remainingMs: 0n }
        : { ...state.removalsHeld, remainingMs: BigInt(Math.trunc(state.removalsHeld.remainingMs)) },
    baseModel: modelToWire(state),
    limits: [...(state.limits ?? [])].map(([name, refused]) => {
      const [namespace = '', limit = ''] = name.split('/');
      return { namespace, limit, refused: BigInt(Math.trunc(refused)) };
    }),
    classifiers: routes === undefined ? undefined : classifiersToWire(routes, state),
  };
};

const classifiersToWire = (
  routes: Iterable<ObjectKey>,
  { classifiers = new Map() }: RuntimeState,
): ClassifierReports => ({
  routes: [...routes].map((key) => ({
    key,
    classifiers: (classifiers.get(key) ?? []).map((each) => ({ ...each })),
  })),
});

const split = <T>(
  keys: Iterable<ObjectKey>,
  from: ReadonlyMap<ObjectKey, T>,
): { there: (readonly [ObjectKey, T])[]; gone: ObjectKey[] } => {
  const there: (readonly [ObjectKey, T])[] = [];
  const gone: ObjectKey[] = [];
  for (const key of keys) {
    const value = from.get(key);
    if (value === undefined) gone.push(key);
    else there.push([key, value]);
  }
  return { there, gone };
};

const modelToWire = ({ model, info }: RuntimeState): BaseModelReport | undefined => {
  if (model === undefined) return undefined;
  const { baseDigest, executionProvider } = info;
  return {
    ...model,
    refusedProviders: [...model.refusedProviders],
    operators: { ...model.operators },
    limits: [...model.limits],
    receivedBytes: BigInt(Math.trunc(model.receivedBytes)),
    totalBytes: BigInt(Math.trunc(model.totalBytes)),
    baseDigest,
    executionProvider,
  };
};

const usageToWire = ({ budgetBytes, usedBytes }: RuntimeState['memory']) => ({
  budgetBytes: BigInt(budgetBytes),
  usedBytes: BigInt(usedBytes),
});

export const adapterToWire = (key: ObjectKey, state: AdapterState): AdapterReport => ({
  ...state,
  key,
  storedBytes: BigInt(state.storedBytes),
  residentBytes: BigInt(state.residentBytes),
  neededBytes: BigInt(state.neededBytes),
  targetModules: [...state.targetModules],
});

export const rolloutToWire = (
  key: ObjectKey,
  { served, holds, counts, elsewhere, mirror, ...state }: RolloutState,
): RolloutReport => ({
  ...state,
  key,
  servedStable: BigInt(served.stable),
  servedCanary: BigInt(served.canary),
  holds: [...holds],
  counts: counts.map(countsToWire),
  elsewhere: elsewhere?.unpacked().map(elsewhereToWire) ?? [],
  mirror: mirror === undefined ? undefined : copiesToWire(mirror.percentage, mirror),
});
