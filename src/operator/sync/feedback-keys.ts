import { createHmac } from 'node:crypto';
import type { Welcome } from '../../gen/adaptlet/control/v1/control.ts';
import type { Authority } from '../identity/authority.ts';
import type { BoundRuntime } from '../identity/binding.ts';
import { scopeOf } from '../objects/scope.ts';

/**
 * What a runtime signs ids of answers with. That of a node serves all namespaces, and gets what their keys are made of; that of
 * a pod gets the key of its own: ids of other namespaces are none of its business.
 */
export const feedbackKeysFor = (
  { kind, key }: Pick<BoundRuntime, 'kind' | 'key'>,
  authority: Pick<Authority, 'feedbackRoots'>,
): Welcome['feedbackKeys'] => {
  const namespace = scopeOf(kind, key);
  return authority
    .feedbackRoots()
    .map((root) =>
      namespace === undefined
        ? { namespace: '', key: root }
        : { namespace, key: createHmac('sha256', root).update(`adaptlet feedback ${namespace}`).digest() },
    );
};
