import type { GenerateInput } from '../engine/engine.ts';
import type { RequestContext } from '../routing/request.ts';

/**
 * Whose request the engine takes it for.
 *
 * Places are shared out between namespaces, then between the tenants of each; requests without a tenant are of one that has no
 * name. What prompts begin with is computed once within a tenant, and without one for each user: who guesses what a stranger
 * asked must not see by an early first token that the guess was right. For the same reason anonymous callers, who say which
 * tenant they are, are never that of a credential, and users of two credentials are not the same. Each part has its name, and
 * JSON keeps them apart, whatever characters they have.
 */
export const scopeOf = (
  context: RequestContext,
): Required<Pick<GenerateInput, 'namespace' | 'tenant' | 'scope'>> &
  Pick<GenerateInput, 'priority' | 'speculate'> => ({
  ...turnOf(context),
  ...cacheOf(context),
});

/** Of any task: whose turn it is. */
export const turnOf = ({ namespace, tenant = '', priority }: RequestContext) => ({
  namespace,
  tenant,
  ...(priority === undefined ? {} : { priority }),
});

const cacheOf = ({ namespace, caller, tenant, user, speculate }: RequestContext) => ({
  scope: JSON.stringify(
    tenant === undefined ? { namespace, user, caller } : { namespace, tenant, isKnown: caller !== undefined },
  ),
  ...(speculate === undefined ? {} : { speculate }),
});
