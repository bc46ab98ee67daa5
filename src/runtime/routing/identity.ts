import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { RequestContext } from './request.ts';

/** HTTP headers, or gRPC metadata keys, that say who asks, how urgently, and whether tokens may be guessed. */
export const identityHeaders = {
  user: 'x-adaptlet-user',
  session: 'x-adaptlet-session',
  tenant: 'x-adaptlet-tenant',
  priority: 'x-adaptlet-priority',
  speculation: 'x-adaptlet-speculation',
} as const;

/**
 * What a client sends back of an earlier answer, so that a node which does not know its session goes on as the other one did. A
 * node believes no more of it than it has signed itself.
 */
export const sessionTokenHeader = 'x-adaptlet-session-token';

/** Longest value of a user, a session or a tenant, in UTF-16 code units. */
export const maxIdentityLength = 256;

/** A priority lies from its negative to it. */
const maxPriority = 1000;

/** What the body of a request says: OpenAI `user`, parameters `user` and `session` of the Open Inference Protocol. */
export type IdentityParameters = {
  readonly user?: string | undefined;
  readonly session?: string | undefined;
};

export type Identity = Pick<RequestContext, 'user' | 'session' | 'tenant' | 'priority' | 'speculate'>;

/** Who a credential is for. */
export type Own = { readonly user?: string | undefined; readonly tenant?: string | undefined };

/** Control, format, private and unassigned characters, lone surrogates, line and paragraph separators. */
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/u;

/**
 * Who asks, as a caller says it that may say for whom. A header wins over the body: a gateway in front of the runtime sets
 * headers, the client writes the body. Blanks around a value are dropped; an empty value counts as absent.
 * @throws REQUEST_INVALID for a value that is too long or has unprintable characters, and for a priority or a
 * speculation that is none
 */
export const identityOf = (
  headers: ReadonlyMap<string, string>,
  parameters: IdentityParameters = {},
  own: Own = {},
): Identity => {
  const user = checked('user', headers.get(identityHeaders.user)) ?? checked('user', parameters.user);
  const session =
    checked('session', headers.get(identityHeaders.session)) ?? checked('session', parameters.session);
  const tenant = checked('tenant', headers.get(identityHeaders.tenant)) ?? own.tenant;
  return identity(headers, { user, session, tenant });
};

/**
 * Who asks, of a caller that may not say for whom: its credential decides, whatever headers and body say.
 * @throws REQUEST_INVALID for a priority or a speculation that is none
 */
export const ownIdentityOf = (headers: ReadonlyMap<string, string>, { user, tenant }: Own): Identity =>
  identity(headers, { user, session: undefined, tenant });

const identity = (
  headers: ReadonlyMap<string, string>,
  { user, session, tenant }: Record<'user' | 'session' | 'tenant', string | undefined>,
): Identity => {
  const priority = priorityOf(headers.get(identityHeaders.priority));
  const speculate = speculateOf(headers.get(identityHeaders.speculation));
  return {
    ...(user === undefined ? {} : { user }),
    ...(session === undefined ? {} : { session }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(priority === undefined ? {} : { priority }),
    ...(speculate === undefined ? {} : { speculate }),
  };
};

/** True for a value that a user or a tenant may have. */
export const isIdentity = (value: string): boolean =>
  value.trim() !== '' && value.length <= maxIdentityLength && !unprintable.test(value);

const checked = (what: keyof typeof identityHeaders, raw: string | undefined): string | undefined => {
  const value = raw?.trim();
  if (value === undefined || value === '') return undefined;
  if (value.length > maxIdentityLength) {
    throw new AdaptletError(
      'REQUEST_INVALID',
      `the ${what} (${identityHeaders[what]}) has ${value.length} characters, at most ${maxIdentityLength} are allowed`,
    );
  }
  if (unprintable.test(value)) {
    throw new AdaptletError(
      'REQUEST_INVALID',
      `the ${what} (${identityHeaders[what]}) has unprintable characters`,
    );
  }
  return value;
};

/** Never from the body: a proxy that strips or sets the header decides for all protocols. */
const priorityOf = (raw: string | undefined): number | undefined => {
  const value = raw?.trim();
  if (value === undefined || value === '') return undefined;
  const priority = /^[+-]?\d{1,4}$/.test(value) ? Number(value) : Number.NaN;
  if (Math.abs(priority) <= maxPriority) return priority;
  throw new AdaptletError(
    'REQUEST_INVALID',
    `the priority (${identityHeaders.priority}) must be a whole number from -${maxPriority} to ${maxPriority}`,
  );
};

/** It changes how an answer is computed, not what it is: nothing that a request body would have a field for. */
const speculateOf = (raw: string | undefined): boolean | undefined => {
  const value = raw?.trim();
  if (value === undefined || value === '' || value === 'auto') return undefined;
  if (value === 'off') return false;
  throw new AdaptletError(
    'REQUEST_INVALID',
    `the speculation (${identityHeaders.speculation}) must be auto or off`,
  );
};
