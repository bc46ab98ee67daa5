import type { GenerateInput } from '../engine/engine.ts';
import type { RequestContext } from '../routing/request.ts';

/**
 * Whose request the engine takes it for.
 *
 * Places are shared out between namespaces, then between the tenants of each; requests without a tenant are of one that has no
 * name. What prompts begin with is computed once within a tenant, and without one for each user: who guesses what a stranger
 * asked must not see by an early first token that the guess was right. Each part has its name, and JSON keeps them apart,
 * whatever characters they have.
 */
export const scopeOf = ({
  namespace,
  tenant,
  user,
  priority,
  speculate,
}: RequestContext): Required<Pick<GenerateInput, 'namespace' | 'tenant' | 'scope'>> &
  Pick<GenerateInput, 'priority' | 'speculate'> => ({
  namespace,
  tenant: tenant ?? '',
  scope: JSON.stringify(tenant === undefined ? { namespace, user } : { namespace, tenant }),
  ...(priority === undefined ? {} : { priority }),
  ...(speculate === undefined ? {} : { speculate }),
});
