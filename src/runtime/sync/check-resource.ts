import { resourceKey, type Versioned } from '../../plan/resources.ts';
import { buildTable, type RoutingTable } from '../routing/table.ts';

/**
 * Why this runtime does not take a resource whose form is right; undefined: it does. Only what is wrong with the
 * resource itself: what belongs to several of them is the compiler's.
 */
export const checkResource = (resource: Versioned, base: RoutingTable['base']): string | undefined => {
  if (resource.type !== 'Route') return undefined;
  const entry = buildTable(new Map([[resourceKey(resource), resource]]), base).routes.get(resource.name);
  return entry === undefined || entry.accepted ? undefined : entry.message;
};
