import { audience } from '../../../operator/identity/token-review.ts';
import { dayOf } from '../certificates.ts';
import { type Finding, ok, problem, warning } from '../finding.ts';
import type { NodeFacts } from './facts.ts';

const fix =
  'a projected ServiceAccount token with the audience adaptlet, as the DaemonSet of the chart mounts it; by hand: kubectl -n adaptlet-system create token adaptlet-runtime --audience=adaptlet --bound-object-kind=Pod --bound-object-name=POD';

/** Of a JSON Web Token; undefined where it is none. */
const claimsOf = (
  token: string,
): { readonly exp?: number; readonly aud?: string | readonly string[] } | undefined => {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? claims : undefined;
  } catch {
    // The operator decides what it takes; only what is known can be checked.
    return undefined;
  }
};

/** Whether the operator can know this runtime by its token; what is in the token is not shown. */
export const token = ({ token: file, operator, now }: NodeFacts): readonly Finding[] => {
  const id = 'node-token';
  if (file === undefined)
    return operator === undefined
      ? [ok(id, 'none is set')]
      : [problem(id, 'none is set, and the operator knows runtimes by it', `--operator-token: ${fix}`)];
  if ('error' in file.text) return [problem(id, file.text.error.what, fix)];
  const claims = claimsOf(file.text.value.trim());
  if (claims === undefined) return [warning(id, `${file.path} is no ServiceAccount token`, fix)];
  const { exp, aud = [] } = claims;
  if (exp !== undefined && exp * 1000 <= now)
    return [
      problem(id, `${file.path} is over since ${dayOf(exp * 1000)}: the kubelet does not renew it`, fix),
    ];
  if (![aud].flat().includes(audience))
    return [
      problem(id, `${file.path} is for ${[aud].flat().join(', ') || 'nobody'}, not for ${audience}`, fix),
    ];
  return [ok(id, exp === undefined ? 'readable' : `valid until ${dayOf(exp * 1000)}`)];
};
