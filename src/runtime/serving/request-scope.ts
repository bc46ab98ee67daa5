import type { GenerateInput } from '../engine/engine.ts';
import type { RequestContext } from '../routing/request.ts';

/**
 * Whose request the engine takes it for.
 *
 * Requests without a tenant share places as their namespace. A session is one of its caller only: who guesses the name of
 * somebody else's session must not see by an early first token what that one asked before. JSON keeps the parts apart,
 * whatever characters they have.
 */
export const scopeOf = ({
  namespace,
  tenant,
  user,
  session,
  priority,
}: RequestContext): Pick<GenerateInput, 'tenant' | 'session' | 'priority'> => ({
  tenant: tenant ?? namespace,
  ...(session === undefined
    ? {}
    : { session: JSON.stringify([namespace, tenant ?? null, user ?? null, session]) }),
  ...(priority === undefined ? {} : { priority }),
});
