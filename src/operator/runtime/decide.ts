import { isDeepStrictEqual } from 'node:util';
import {
  conditionOf,
  conditionsOf,
  cut,
  joinCapped,
  type Observed,
  readiness,
  verdictsOf,
} from '../../api/condition.ts';
import { isDigest } from '../../api/names.ts';
import { maxNamed, type RuntimeObjectStatus, type RuntimeSpec } from '../../api/runtime.ts';
import { revisionText } from '../../control/revision.ts';
import type { ModelProgress, RuntimeState, Usage } from '../fleet/fleet.ts';
import type { ModelVerdict } from '../fleet/model-census.ts';
import { nodeCordoned } from '../objects/restraint.ts';
import { notEnforced } from '../plans/for-earlier.ts';
import { modelConditions } from './model-conditions.ts';
import { providerConditions } from './provider-condition.ts';
import type { ConditionReason, ConditionType } from './reasons.ts';

/** A rollout whose canary the runtime follows, with the name of its canary. */
export type UnderWay = {
  readonly rollout: string;
  readonly adapter: string;
  readonly state: string;
  readonly weight: number;
  /** It can serve the canary, gives it what its plan says, and nothing keeps plans from it. */
  readonly follows?: true | undefined;
};

export type RuntimeInput = {
  readonly namespace: string;
  readonly name: string;
  readonly generation: number;
  readonly before: RuntimeObjectStatus | undefined;
  /** Undefined: nothing was heard of it in this term. */
  readonly state: RuntimeState | undefined;
  /** Nothing was heard of it yet, but it may report any moment. */
  readonly isSilent: boolean;
  /** By the names of rollouts, as many as a status may have. */
  readonly underWay: readonly UnderWay[];
  /** Undefined: too early to tell, while a new leader waits for reports. */
  readonly verdict: ModelVerdict | undefined;
  readonly spec: RuntimeSpec;
  /** Its Node takes no new pods. */
  readonly isNodeCordoned: boolean;
  readonly now: string;
};

export type RuntimeCondition = Observed<ConditionType, ConditionReason>;

/** Part of a budget by which its use has to move before that alone is written. */
const usageStep = 0.05;
const onDisk: ReadonlySet<string> = new Set(['Stored', 'Compiled', 'Loaded', 'Resident', 'Draining']);

/**
 * The status of an AdapterRuntime: pure; undefined when nothing is known. The very object `before` when nothing is
 * different, or only the use of RAM and disk by a little, or weights of canaries where it follows their rollouts.
 */
export const decideRuntime = (input: RuntimeInput): RuntimeObjectStatus | undefined => {
  const { before, state, isSilent } = input;
  if (state === undefined && (before === undefined || isSilent)) return before;
  const next = state?.connected === true ? connected(input, state) : disconnected(input);
  if (next === undefined || before === undefined) return next;
  const unmoved = {
    ...next,
    memory: before.memory,
    disk: before.disk,
    ...(next.rollouts === undefined ? {} : { rollouts: unmovedIn(next.rollouts, before.rollouts) }),
  };
  const isNear = near(before.memory, next.memory) && near(before.disk, next.disk);
  return isNear && isDeepStrictEqual(unmoved, before) ? before : next;
};

/** Decision: something that programs act on, or that a person must see, is different. */
export const changeOf = (
  before: RuntimeObjectStatus | undefined,
  after: RuntimeObjectStatus,
): 'None' | 'Observation' | 'Decision' => {
  if (before === after) return 'None';
  return isDeepStrictEqual(decisionsOf(before), decisionsOf(after)) ? 'Observation' : 'Decision';
};

const decisionsOf = (status: RuntimeObjectStatus | undefined): unknown => {
  if (status === undefined) return undefined;
  const { memory: _, disk: __, adapters: ___, rollouts: ____, conditions, ...rest } = status;
  return { ...rest, conditions: verdictsOf(conditions) };
};

type Listed = NonNullable<RuntimeObjectStatus['rollouts']>;

/**
 * With the weights of before where the runtime follows: what it gets is in the rollout. Where before does not say that it follows,
 * the weight does as well while it is the same; CRDs of an earlier version never say it.
 */
const unmovedIn = (rollouts: Listed, before: Listed = []): Listed =>
  rollouts.map((one, at) => {
    const { rollout, follows, weight } = before[at] ?? {};
    if (!one.follows || rollout !== one.rollout || weight === undefined) return one;
    if (follows) return { ...one, weight };
    const { follows: _, ...rest } = one;
    return weight === one.weight ? rest : one;
  });

const near = (before: Usage, after: Usage): boolean =>
  before.budgetBytes === after.budgetBytes &&
  Math.abs(before.usedBytes - after.usedBytes) <= usageStep * after.budgetBytes;

const factsOf = (state: RuntimeState): Omit<RuntimeObjectStatus, 'conditions' | 'disconnectedAt'> => {
  const { info, kind } = state;
  const states = [...state.adapters.values()].map((adapter) => adapter.state);
  const held = [...state.rollouts].flatMap(([key, { holds }]) => (holds.length > 0 ? [cut(key, 512)] : []));
  return {
    kind,
    ...(info.node === '' ? {} : { node: cut(info.node, 253) }),
    ...(info.pod === '' ? {} : { pod: cut(info.pod, 253) }),
    version: cut(info.version, 64),
    baseModel: {
      name: cut(info.baseModel, 128),
      ...(isDigest(info.baseDigest) ? { digest: info.baseDigest } : {}),
      ...(state.model === undefined ? {} : sourceOf(state.model)),
    },
    executionProvider: cut(info.executionProvider, 128),
    memory: { ...state.memory },
    disk: { ...state.disk },
    adapters: {
      known: states.length,
      stored: states.filter((one) => onDisk.has(one)).length,
      resident: states.filter((one) => one === 'Resident').length,
      failed: states.filter((one) => one === 'Failed').length,
    },
    refused: [...state.refused]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .slice(0, maxNamed)
      .map(([resource, reason]) => ({ resource: cut(resource, 512), reason: cut(reason) })),
    heldRollouts: held.sort().slice(0, maxNamed),
    connectedSince: new Date(state.connectedAt).toISOString(),
  };
};

const sourceOf = ({ source, manifestDigest }: ModelProgress) => ({
  source: cut(source, 1024),
  ...(manifestDigest === '' ? {} : { manifestDigest }),
});

const connected = (
  { before, underWay, verdict, spec, isNodeCordoned, now, generation, ...name }: RuntimeInput,
  state: RuntimeState,
): RuntimeObjectStatus => ({
  observedGeneration: generation,
  ...factsOf(state),
  ...keptSince(before),
  rollouts: underWay.map(({ follows, ...one }) => ({
    ...one,
    rollout: cut(one.rollout, 512),
    state: cut(one.state, 32),
    ...(follows && { follows }),
  })),
  conditions: conditionsOf(
    [
      { type: 'Connected', status: 'True', reason: 'Connected', message: 'a replica has a stream with it' },
      ...ready(state),
      ...modelConditions(state, verdict, before?.conditions),
      ...providerConditions(state),
      inSync(state),
      removals(state, name),
      ...restraints({ before, state, spec, isNodeCordoned }),
    ],
    before?.conditions,
    now,
  ),
});

/** A stream that moves to another replica, or comes back before anybody saw it away, begins nothing anew. */
const keptSince = (before: RuntimeObjectStatus | undefined): Pick<RuntimeObjectStatus, 'connectedSince'> =>
  before?.connectedSince !== undefined && conditionOf(before.conditions, 'Connected')?.status === 'True'
    ? { connectedSince: before.connectedSince }
    : {};

/** What it was, had and served when it was last here stays: it goes on with that. */
const disconnected = (input: RuntimeInput): RuntimeObjectStatus | undefined => {
  const { before, state, now, generation } = input;
  const isRestrained = restraints(input);
  if (before !== undefined && conditionOf(before.conditions, 'Connected')?.status === 'False') {
    // What people ask of it may change while it is away.
    const others = before.conditions.filter(({ type }) => !isRestrained.some((one) => one.type === type));
    const conditions = conditionsOf([...others, ...isRestrained], before.conditions, now);
    return { ...before, observedGeneration: generation, conditions };
  }
  const at = state?.disconnectedAt === undefined ? now : new Date(state.disconnectedAt).toISOString();
  const facts = before ?? (state === undefined ? undefined : factsOf(state));
  if (facts === undefined) return undefined;
  const message = `no replica has a stream with it since ${at}; it goes on with the last plan that it has`;
  const why = { reason: 'Disconnected', message: 'it is not connected' } as const;
  // One that never loaded a model, or whose version does not tell, has no such condition.
  const told =
    state === undefined ? [] : [...modelConditions(state, undefined, []), ...providerConditions(state)];
  const known: readonly Observed[] = [...(before?.conditions ?? []), ...told];
  const unknown: RuntimeCondition[] = [
    ...readiness('Unknown', why.reason, why.message),
    ...(['ModelReady', 'ProviderReady'] as const)
      .filter((type) => known.some((one) => one.type === type))
      .map((type) => ({ type, status: 'Unknown', ...why }) as const),
    { type: 'InSync', status: 'Unknown', ...why },
    { type: 'RemovalsHeld', status: 'Unknown', ...why },
  ];
  const gone: RuntimeCondition = { type: 'Connected', status: 'False', reason: 'Disconnected', message };
  return {
    ...facts,
    observedGeneration: generation,
    disconnectedAt: at,
    conditions: conditionsOf([gone, ...unknown, ...isRestrained], before?.conditions, now),
  };
};

const ready = ({ ready: isReady, message }: RuntimeState): RuntimeCondition[] =>
  isReady
    ? readiness('Current', 'Serving', message || 'it can answer requests')
    : readiness('InProgress', 'NotServing', message || 'it gives no reason');

const inSync = ({ refused }: RuntimeState): RuntimeCondition => {
  const type = 'InSync';
  if (refused.size === 0) {
    return { type, status: 'True', reason: 'NothingRefused', message: 'every part of its plan is in force' };
  }
  const named = [...refused.keys()].sort();
  const withheld = named.filter((key) => refused.get(key)?.startsWith(notEnforced));
  const [refusals, others] = [named.filter((key) => !withheld.includes(key)), joinCapped(withheld, maxNamed)];
  const not = `its version does not enforce all of ${others}, and has no adapter of these namespaces; upgrade it`;
  if (refusals.length === 0) return { type, status: 'False', reason: 'NotEnforced', message: not };
  const message = `it refuses ${joinCapped(refusals, maxNamed)}; their former versions go on`;
  const both = withheld.length === 0 ? message : `${message}; ${not}`;
  return { type, status: 'False', reason: 'Refused', message: both };
};

const removals = (
  { removalsHeld }: RuntimeState,
  { namespace, name }: Pick<RuntimeInput, 'namespace' | 'name'>,
): RuntimeCondition => {
  const type = 'RemovalsHeld';
  if (removalsHeld === undefined || removalsHeld.count === 0) {
    return { type, status: 'False', reason: 'NoRemovalsHeld', message: 'nothing is held back' };
  }
  const { count, fingerprint } = removalsHeld;
  const command = `kubectl -n ${namespace} annotate adr ${name} adaptlet.io/confirm-removals=${word(fingerprint)} --overwrite`;
  const message = `${count} removals (${word(fingerprint)}) take away more than half of what it holds and are held back for a while; to let them happen now: ${command}`;
  return { type, status: 'True', reason: 'ManyRemovals', message };
};

/** What keeps new things from it, with the time since when as that of the condition. */
const restraints = ({
  before,
  state,
  spec,
  isNodeCordoned,
}: Pick<RuntimeInput, 'before' | 'state' | 'spec' | 'isNodeCordoned'>): RuntimeCondition[] => [
  cordoned(spec, isNodeCordoned, state?.info.node ?? before?.node ?? ''),
  held(spec, before, state),
];

const keepsWhatItHas = 'it keeps and serves what it has, and gets nothing new';

const cordoned = (spec: RuntimeSpec, isNodeCordoned: boolean, node: string): RuntimeCondition => {
  const type = 'Cordoned';
  if (spec.cordoned === true)
    return { type, status: 'True', reason: 'CordonedBySpec', message: `spec.cordoned: ${keepsWhatItHas}` };
  return isNodeCordoned
    ? { type, status: 'True', reason: nodeCordoned, message: `Node ${node} is cordoned: ${keepsWhatItHas}` }
    : { type, status: 'False', reason: 'NotCordoned', message: 'it gets what is new' };
};

const held = (
  spec: RuntimeSpec,
  before: RuntimeObjectStatus | undefined,
  state: RuntimeState | undefined,
): RuntimeCondition => {
  const type = 'Held';
  if (spec.held !== true) return { type, status: 'False', reason: 'NotHeld', message: 'it follows its plan' };
  const known = conditionOf(before?.conditions, type);
  // Of the moment in which it was held: what it answers later takes something back, and changes nothing else.
  if (known?.status === 'True') return { type, status: 'True', reason: 'HeldBySpec', message: known.message };
  const at = state === undefined ? 'unknown: it is away' : revisionText(state.acknowledged);
  const message = `spec.held: its plan stays as it is, at the revision ${at}`;
  return { type, status: 'True', reason: 'HeldBySpec', message };
};

/** It ends in a command that people copy: what a runtime sends as a fingerprint must not become more than one word. */
const word = (fingerprint: string): string => fingerprint.replaceAll(/[^A-Za-z0-9._:-]/g, '_').slice(0, 128);
