import type { PreloadTier } from '../../api/adapter.ts';
import { type Digest, objectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { BoundAdapter } from '../../api/rollout-status.ts';
import { namespaceOf } from '../../control/key.ts';
import { overlaid, resourcesOf } from '../../plan/overlaid.ts';
import { Remembered } from '../../plan/remembered.ts';
import { type AdapterResource, type Versioned, versioned } from '../../plan/resources.ts';
import { assignmentOf } from '../../rollout/groups/assignment.ts';
import type { RolloutState } from '../fleet/fleet.ts';
import {
  boundsOf,
  formerTo,
  hasOf,
  type RestrainedPlan,
  type RestrainInput,
  reportOf,
  type Split,
  splitOn,
  takenBack,
  wantedAs,
} from './restrained.ts';

type Adapter = Versioned<AdapterResource>;

const tiers: readonly PreloadTier[] = ['None', 'Disk', 'Memory'];

/**
 * The plan of a held runtime: nothing of it changes but rights, which are policies, keys of callers and whether adapters have
 * to be signed; a canary that was given up or replaced, which goes; and a stable that was rolled back to one that the
 * runtime has. Pure.
 */
export const planWhenHeld = ({
  plan,
  withheld,
  state,
  runtime,
  rolloutOf,
  versionOf,
}: Omit<RestrainInput, 'adapterOf'>): RestrainedPlan & Required<Pick<RestrainedPlan, 'only'>> => {
  const over = new Map<string, Versioned>();
  // What a policy denies is denied everywhere, and so is a key that is taken back.
  const only = new Set([...resourcesOf(plan, 'Policy').keys(), ...resourcesOf(plan, 'Keys').keys()]);
  for (const [key, resource] of resourcesOf(plan, 'AdapterSpec')) {
    if (resource.type !== 'AdapterSpec') continue;
    const entitled = withRights(resource, versionOf(key));
    if (entitled === undefined) continue;
    over.set(key, entitled);
    only.add(key);
  }
  for (const [key, resource] of resourcesOf(plan, 'Split')) {
    if (resource.type !== 'Split') continue;
    const rollout = rolloutOf(resource.name);
    const report = reportOf(resource, state);
    if (rollout === undefined || report === undefined || report.stableDigest === '') continue;
    const back = rolledBack(rollout, report, hasOf(resource, state));
    const stable =
      back ??
      (isCanaryGone(rollout, report, runtime)
        ? boundWith(report.stableDigest, rollout, resource, state)
        : undefined);
    if (stable === undefined) continue;
    const former = formerTo(stable, rollout, hasOf(resource, state));
    over.set(key, splitOn(resource, stable, former, false));
    only.add(key);
    const adapter = `AdapterSpec ${objectKey(namespaceOf(resource.name), stable.adapter)}`;
    const spec = plan.get(adapter);
    if (back === undefined || spec?.type !== 'AdapterSpec') continue;
    over.set(adapter, wantedAs(spec, 'Memory', true));
    only.add(adapter);
  }
  return { plan: overlaid(plan, over), withheld, only };
};

/**
 * The adapter as the runtime has it, but for whether its policy asks for signatures: then and only then it differs from the
 * plan in rights. Undefined: it does not.
 */
const withRights = (resource: Adapter, held: string | undefined): Adapter | undefined => {
  if (held === undefined || held === resource.version) return undefined;
  for (const tier of tiers) {
    for (const isHeld of [false, true]) {
      const now = wantedAs(resource, tier, isHeld);
      if (signedOtherwise(now).version === held) return now;
    }
  }
  return undefined;
};

const otherwise = new Remembered<Adapter, Adapter>();

const signedOtherwise = (resource: Adapter): Adapter =>
  otherwise.of(resource, '', () => {
    const { type, name, body } = resource;
    const { signed, ...rest } = body;
    return versioned({ type, name, body: signed === true ? rest : { ...rest, signed: true } });
  });

/** The adapter with that digest: as the status has it, else as the runtime reports it. */
const boundWith = (
  wanted: Digest | '',
  rollout: RolloutObject,
  { name }: Split,
  { adapters }: RestrainInput['state'],
): BoundAdapter | undefined => {
  const bound = boundsOf(rollout).find(({ digest }) => digest === wanted);
  if (bound !== undefined) return bound;
  for (const [key, { uid, digest }] of adapters) {
    if (digest === '' || digest !== wanted || namespaceOf(key) !== namespaceOf(name)) continue;
    return { adapter: key.slice(key.indexOf('/') + 1), uid, digest };
  }
  return undefined;
};

/** The stable of the rollout, where the one that the runtime serves was rolled back to it. */
const rolledBack = (
  rollout: RolloutObject,
  { stableDigest }: RolloutState,
  has: (bound: BoundAdapter) => boolean,
): BoundAdapter | undefined => {
  const stable = rollout.status?.stable;
  return stable !== undefined && has(stable) && takenBack(rollout).has(stableDigest) ? stable : undefined;
};

/** The canary that the runtime gives requests was given up, also in its group alone, or another one took its place. */
const isCanaryGone = (
  rollout: RolloutObject,
  { canaryDigest, weight, mirror }: RolloutState,
  runtime: RestrainInput['runtime'],
): boolean => {
  const { status, metadata } = rollout;
  if (status === undefined || canaryDigest === '' || (weight === 0 && (mirror?.percentage ?? 0) === 0))
    return false;
  // It became stable elsewhere: that is no reason to take it away here.
  if (boundsOf(rollout).some(({ digest }) => digest === canaryDigest)) return false;
  const isPresent = status.canary?.digest === canaryDigest;
  return !(isPresent && assignmentOf(status, metadata.uid, runtime).isLoaded);
};
