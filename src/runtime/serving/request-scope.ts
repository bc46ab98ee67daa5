import type { GenerateInput } from '../engine/engine.ts';
import type { RequestContext } from '../routing/request.ts';

/**
 * Whose request the engine takes it for.
 *
 * Requests without a tenant share places as their namespace. What prompts begin with is computed once within a tenant, and
 * without one for each user: who guesses what a stranger asked must not see by an early first token that the guess was
 * right. JSON keeps the parts apart, whatever characters they have.
 */
export const scopeOf = ({
  namespace,
  tenant,
  user,
  priority,
  speculate,
}: RequestContext): Required<Pick<GenerateInput, 'tenant' | 'scope'>> &
  Pick<GenerateInput, 'priority' | 'speculate'> => ({
  tenant: tenant ?? namespace,
  scope: JSON.stringify(tenant === undefined ? [namespace, null, user ?? null] : [namespace, tenant]),
  ...(priority === undefined ? {} : { priority }),
  ...(speculate === undefined ? {} : { speculate }),
});
