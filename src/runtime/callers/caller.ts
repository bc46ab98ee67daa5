import type { Right } from '../../api/policy.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Gateway } from './gateway.ts';

/** What a request brings that says who asks. */
export type Presented = {
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  /** Where its connection comes from; undefined: that is not known. */
  readonly address?: string | undefined;
  /** Common name of the client's certificate, which an authority of `--client-ca` signed. */
  readonly commonName?: string | undefined;
};

/** What a caller may do in one namespace. */
export type Grant = {
  /** Its credential, as `namespace/name` of the policy that has it; '' for an anonymous caller. */
  readonly caller: string;
  readonly rights: ReadonlySet<Right>;
  /** Who it is, unless it has the right Users and says it. */
  readonly user?: string | undefined;
  readonly tenant?: string | undefined;
};

/** Who asks, once its credential was believed. */
export type Caller = {
  /** Namespace of requests that name none. */
  readonly home: string;
  /** The gateway that its request came through, where that is believed; absent: it came from elsewhere. */
  readonly gateway?: Gateway;
  /** Undefined: it may not ask for names of that namespace, whether there are any or not. */
  grantIn(namespace: string): Grant | undefined;
  /** What it is told where it has no grant. The same whatever that namespace has. */
  refusalIn(namespace: string): AdaptletError;
};

/** @throws UNAUTHENTICATED where a credential is missing or not believed */
export type Identify = (presented: Presented) => Promise<Caller>;

/** @throws FORBIDDEN, and UNAUTHENTICATED for an anonymous caller */
export const grantOf = (caller: Caller, namespace: string): Grant => {
  const grant = caller.grantIn(namespace);
  if (grant === undefined) throw caller.refusalIn(namespace);
  return grant;
};

/** @throws FORBIDDEN, and as of {@link grantOf} */
export const needRight = (caller: Caller, namespace: string, right: Right, what: string): Grant => {
  const grant = grantOf(caller, namespace);
  if (!grant.rights.has(right)) throw lacks(grant, right, what);
  return grant;
};

export const lacks = ({ caller }: Grant, right: Right, what: string): AdaptletError =>
  new AdaptletError(
    'FORBIDDEN',
    `${what} needs the right ${right}, which ${caller === '' ? 'callers without a credential do not have' : `the credential ${caller} does not have`}`,
  );
