import type { Match } from '../../api/match.ts';
import { namespaceOf, objectKey } from '../../api/names.ts';
import type { PerUser } from '../../api/route.ts';
import { isPerUserId } from '../../api/source.ts';
import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { Expected } from '../residency/manager.ts';
import type { Candidate } from '../routing/decision.ts';
import { silent } from '../routing/labelled.ts';
import { compileMatches } from '../routing/match.ts';
import { routeAskedFor } from '../routing/names.ts';
import type { RequestContext } from '../routing/request.ts';
import { type RouteEntry, type RoutingTable, sourceRefusalOf } from '../routing/table.ts';
import { perUserResource } from './per-user.ts';

/** Adapters that are expected after a request; the rest is too unlikely. */
const maxExpected = 8;

/** A rule, as far as it says what may be asked for next. */
type Reachable = {
  readonly rule: string;
  /** Its requests may come from this user and tenant; all else differs from one request to the next. */
  readonly isOpenTo: (context: RequestContext) => boolean;
  readonly template: PerUser | undefined;
  readonly targets: readonly { readonly adapter: string; readonly weight: number }[];
};

const opennessOf = (matches: readonly Match[]): Reachable['isOpenTo'] => {
  const { test } = compileMatches(
    matches.map(({ user, tenant }) => ({
      ...(user === undefined ? {} : { user }),
      ...(tenant === undefined ? {} : { tenant }),
    })),
  );
  return (context) => test(context, (classifier) => silent(classifier, 'not asked')) === true;
};

/** An unchanged route is looked through once. */
const reachable = new WeakMap<RouteEntry, readonly Reachable[]>();

const reachableBy = (entry: RouteEntry): readonly Reachable[] => {
  const known = reachable.get(entry);
  if (known !== undefined) return known;
  const found = entry.resource.body.rules.map(({ name, matches, perUser, targets = [], fallback }) => {
    const fallbacks = fallback.map((target) => ({ ...target, weight: 0 }));
    const weighted = [...targets.filter(({ weight }) => weight > 0), ...fallbacks];
    return {
      rule: name,
      isOpenTo: opennessOf(matches),
      template: perUser,
      targets: weighted.flatMap(({ adapter, weight }) =>
        adapter === undefined ? [] : [{ adapter, weight }],
      ),
    };
  });
  reachable.set(entry, found);
  return found;
};

/**
 * What the same route may be asked for after a request, by the same user and tenant, the likeliest first: the user's own adapter,
 * then what the rules name by weight, then what they fall back to. Versions of rollouts are not among them: the plan says how near
 * those are to be.
 */
export const nextAsked = (
  table: RoutingTable,
  context: RequestContext,
  served: Candidate,
): readonly Expected[] => {
  const entry = routeAskedFor(table, context.namespace, context.model);
  if (entry?.accepted !== true) return [];
  const namespace = namespaceOf(entry.key);
  const open = reachableBy(entry).filter(({ isOpenTo }) => isOpenTo(context));
  const names = open
    .flatMap(({ targets }) => targets)
    .toSorted((a, b) => b.weight - a.weight)
    .map(({ adapter }) => adapter);
  const others = [...new Set(names)]
    .map((name) => objectKey(namespace, name))
    .filter((key) => served.kind !== 'adapter' || served.key !== key);
  return [...ownOf(table, entry, context, served, open), ...others].slice(0, maxExpected);
};

/** Who was served by an adapter of their own has it. */
const ownOf = (
  table: RoutingTable,
  { key, name: route }: RouteEntry,
  { user }: RequestContext,
  served: Candidate,
  open: readonly Reachable[],
): readonly Expected[] => {
  if (user === undefined || !isPerUserId(user) || served.kind === 'perUser') return [];
  const namespace = namespaceOf(key);
  return open.flatMap(({ rule, template }) => {
    if (template?.baseModel !== table.base.name) return [];
    if (sourceRefusalOf(table, namespace, template.source) !== undefined) return [];
    return ofUser({ kind: 'perUser', namespace, route, rule, user, template });
  });
};

/** Not every id makes a valid source: such a user has none. */
const ofUser = (candidate: Extract<Candidate, { kind: 'perUser' }>): Expected[] => {
  try {
    return [perUserResource(candidate)];
  } catch (error) {
    if (errorCodeOf(error) === 'REQUEST_INVALID') return [];
    throw error;
  }
};
