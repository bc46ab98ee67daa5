import type { ObjectKey } from '../../api/names.ts';

/** The only namespace whose objects a runtime sees, and whose decisions it counts for; undefined: all of them. */
export type Scope = string | undefined;

/** The runtime of a node serves every namespace, that of a pod only its own. `key`: of its AdapterRuntime. */
export const scopeOf = (kind: 'Node' | 'Pod', key: ObjectKey): Scope =>
  kind === 'Node' ? undefined : namespaceOf(key);

export const isWithin = (scope: Scope, key: ObjectKey): boolean =>
  scope === undefined || namespaceOf(key) === scope;

export const namespaceOf = (key: ObjectKey): string => key.slice(0, key.indexOf('/'));
