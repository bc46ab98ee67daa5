import type { Manifest } from '../api/objects.ts';
import { clientNameOf, keyOf } from '../api/references.ts';

/** An object whose client name belongs to another. */
export type NameConflict = { readonly object: Manifest; readonly name: string; readonly reason: string };

/** Where a runtime looks a name up, first to last; it also decides between objects of the same age and key. */
const lookupOrder: readonly Manifest['kind'][] = [
  'AdapterRoute',
  'AdapterRollout',
  'Adapter',
  'AdapterPolicy',
];

/** Older first; then by key; then in the order of lookup. Total over the objects of a set. */
export const byAge = (a: Manifest, b: Manifest): number =>
  compare(a.metadata.creationTimestamp, b.metadata.creationTimestamp) ||
  compare(keyOf(a), keyOf(b)) ||
  lookupOrder.indexOf(a.kind) - lookupOrder.indexOf(b.kind) ||
  compare(a.metadata.uid, b.metadata.uid);

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

const claimOf = (object: Manifest): string => `${object.metadata.namespace}/${clientNameOf(object)}`;

/**
 * Which objects do not get the name that clients would call them by. A name belongs to one object of a namespace, the
 * oldest; the name of the base model belongs to the base model in every namespace.
 */
export const nameConflicts = (all: readonly Manifest[], baseModel: string): NameConflict[] => {
  // Nobody calls a policy.
  const objects = all.filter(({ kind }) => kind !== 'AdapterPolicy');
  const owners = new Map<string, Manifest>();
  for (const object of objects) {
    const owner = owners.get(claimOf(object));
    if (owner === undefined || byAge(object, owner) < 0) owners.set(claimOf(object), object);
  }
  const conflictOf = (object: Manifest): NameConflict[] => {
    const name = clientNameOf(object);
    if (name === baseModel) {
      return [{ object, name, reason: `the name ${name} is reserved for the base model: choose another` }];
    }
    const owner = owners.get(claimOf(object));
    if (owner === undefined || owner === object) return [];
    const reason = `the name ${name} belongs to the older ${owner.kind} ${keyOf(owner)}: choose another`;
    return [{ object, name, reason }];
  };
  return objects.flatMap(conflictOf).toSorted((a, b) => byAge(a.object, b.object));
};
