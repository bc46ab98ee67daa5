import type { GenerateInput } from '../engine/engine.ts';
import type { RequestContext } from '../routing/request.ts';

/**
 * Whose request the engine takes it for.
 *
 * Requests without a tenant share places as their namespace. What prompts begin with is computed once within a tenant, and
 * without one for each user: who guesses what a stranger asked must not see by an early first token that the guess was
 * right. For the same reason anonymous callers, who say which tenant they are, are never that of a credential, and users of
 * two credentials are not the same. JSON keeps the parts apart, whatever characters they have.
 */
export const scopeOf = ({
  namespace,
  caller,
  tenant,
  user,
  priority,
  speculate,
}: RequestContext): Required<Pick<GenerateInput, 'tenant' | 'scope'>> &
  Pick<GenerateInput, 'priority' | 'speculate'> => ({
  tenant: tenant ?? namespace,
  scope: JSON.stringify(
    tenant === undefined
      ? [namespace, null, user ?? null, caller ?? null]
      : [namespace, tenant, caller !== undefined],
  ),
  ...(priority === undefined ? {} : { priority }),
  ...(speculate === undefined ? {} : { speculate }),
});
