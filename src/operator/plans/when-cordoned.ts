import { type Digest, type ObjectKey, objectKey } from '../../api/names.ts';
import { namespaceOf } from '../../control/key.ts';
import { overlaid, resourcesOf } from '../../plan/overlaid.ts';
import type { Versioned } from '../../plan/resources.ts';
import { adapterAt, isHere } from '../fleet/adapter-at.ts';
import { AdapterTable } from '../fleet/adapter-table.ts';
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
  splitWithout,
  takenBack,
  wantedAs,
} from './restrained.ts';

/**
 * The plan of a cordoned runtime: what it does not have is not placed there. A canary that it lacks is not in its Split;
 * where it lacks stable it stays on the former one that it serves, or goes to the newest that it has. Weights and aborts of
 * what it has come through, and so do routes and what a request asks for by name. What was rolled back serves no longer:
 * where the runtime has nothing else, the stable of the rollback is placed there. Pure.
 */
export const planWhenCordoned = ({
  plan,
  withheld,
  state,
  rolloutOf,
  adapterOf,
}: RestrainInput): RestrainedPlan => {
  const over = new Map(lackedOf(resourcesOf(plan, 'AdapterSpec'), state.adapters));
  const kept = new Set(withheld);
  const serving = new Set<ObjectKey>();
  for (const [key, resource] of resourcesOf(plan, 'Split')) {
    if (resource.type !== 'Split') continue;
    const has = hasOf(resource, state);
    const { stable, canary } = resource.body;
    if ([stable, canary].every((arm) => arm === undefined || has(arm))) continue;
    const rollout = rolloutOf(resource.name);
    const report = reportOf(resource, state);
    const away = takenBack(rollout);
    const served = report?.stableDigest ?? '';
    // The second: it was told already, and has not begun with it.
    const isBack = away.has(served) || (away.size > 0 && served === stable?.digest);
    const here = boundsOf(rollout).filter((bound) => has(bound) && !away.has(bound.digest));
    const present =
      here.find((bound) => bound === rollout?.status?.stable) ??
      // What was rolled back is an ordinary former one again once the next canary comes.
      here.find(({ digest }) => digest === served) ??
      here[0] ??
      (isBack ? stable : undefined);
    if (present !== undefined) {
      const isStable = present.uid === stable?.uid && present.digest === stable.digest;
      const former = formerTo(present, rollout, has);
      over.set(key, splitOn(resource, present, former, isStable && canary !== undefined && has(canary)));
      serving.add(objectKey(namespaceOf(resource.name), present.adapter));
    } else if (report === undefined || served === '' || isBack) {
      const message = `AdapterRollout ${resource.name} has nothing here: this runtime is cordoned and has none of its adapters`;
      over.set(key, splitWithout(resource, message));
    } else {
      // What it serves is in no status any more: it stays, with its adapters, but for what a policy keeps out. Whether they have
      // to be signed may change.
      kept.add(key);
      for (const [adapter, uid] of adaptersOf(report, resource, state)) {
        const spec = plan.get(`AdapterSpec ${adapter}`);
        if (spec?.type === 'AdapterSpec' && spec.body.uid === uid) serving.add(adapter);
        else if (adapterOf(adapter)?.metadata.uid !== uid) kept.add(`AdapterSpec ${adapter}`);
      }
    }
  }
  for (const name of serving) {
    const key = `AdapterSpec ${name}`;
    const resource = plan.get(key);
    if (resource?.type === 'AdapterSpec') over.set(key, wantedAs(resource, 'Memory', true));
  }
  return { plan: overlaid(plan, over), withheld: kept };
};

type Lacked = {
  readonly specs: ReadonlyMap<string, Versioned>;
  readonly changes: number;
  readonly over: ReadonlyMap<string, Versioned>;
};

const known = new WeakMap<AdapterTable, Lacked>();

/**
 * What the plan would bring and the runtime does not have, as it is not brought. Looked for when the adapters of the plan or
 * of the runtime change, and not with each step of a rollout.
 */
const lackedOf = (
  specs: ReadonlyMap<string, Versioned>,
  adapters: RestrainInput['state']['adapters'],
): ReadonlyMap<string, Versioned> => {
  if (!(adapters instanceof AdapterTable)) return lookFor(specs, adapters);
  const { changes } = adapters;
  const last = known.get(adapters);
  if (last?.specs === specs && last.changes === changes) return last.over;
  const over = lookFor(specs, adapters);
  known.set(adapters, { specs, changes, over });
  return over;
};

const lookFor = (
  specs: ReadonlyMap<string, Versioned>,
  adapters: RestrainInput['state']['adapters'],
): ReadonlyMap<string, Versioned> => {
  const over = new Map<string, Versioned>();
  for (const [key, resource] of specs) {
    if (resource.type !== 'AdapterSpec') continue;
    const { tier, held, uid } = resource.body;
    const isBrought = tier !== 'None' || held;
    if (isBrought && !isHere(adapterAt({ adapters }, resource.name, uid)))
      over.set(key, wantedAs(resource, 'None', false));
  }
  return over;
};

/** Keys and uids of what it has, of the two digests that it reports. */
const adaptersOf = (
  { stableDigest, canaryDigest }: RolloutState,
  { name }: Split,
  { adapters }: RestrainInput['state'],
): (readonly [ObjectKey, string])[] => {
  const digests: ReadonlySet<Digest | ''> = new Set([stableDigest, canaryDigest].filter((one) => one !== ''));
  return [...adapters].flatMap(([key, { uid, digest }]) =>
    namespaceOf(key) === namespaceOf(name) && digests.has(digest) ? [[key, uid] as const] : [],
  );
};
