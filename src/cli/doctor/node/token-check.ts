import { X509Certificate } from 'node:crypto';
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

/** Whether the operator can know a device by its certificate. */
const certificateOf = (id: Finding['id'], device: NonNullable<NodeFacts['device']>, now: number): Finding => {
  if ('error' in device)
    return problem(id, device.error.what, 'run this as the user of the runtime, who alone may read it');
  const { name, certificate } = device.value;
  if (certificate === '')
    return warning(id, `the device ${name} has not used its token yet`, 'adaptlet status says why');
  const until = Date.parse(new X509Certificate(certificate).validTo);
  return until > now
    ? ok(id, `a certificate of the device ${name} until ${dayOf(until)}, which it renews by itself`)
    : warning(
        id,
        `the certificate of the device ${name} is over since ${dayOf(until)}`,
        'it is renewed once the operator is reached; adaptlet status says why it is not',
      );
};

/** Whether the operator can know this runtime by its token; what is in the token is not shown. */
export const token = (facts: NodeFacts): readonly Finding[] => {
  const { token: file, operator, now, device } = facts;
  const id = 'node-token';
  if (file === undefined && device !== undefined) return [certificateOf(id, device, now)];
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
