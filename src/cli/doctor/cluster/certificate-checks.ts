import { certificatesIn, dayOf, endsAt } from '../certificates.ts';
import { type Finding, of, ok, problem, warning } from '../finding.ts';
import { isNotTrusted } from '../handshake.ts';
import type { ClusterFacts } from './facts.ts';

/** Milliseconds before the end when a successor is overdue: the operator makes one 90 days before. */
const dueMs = 60 * 86_400_000;
/** Milliseconds before the end when the certificate of a replica is overdue: it lives for a day, and is renewed after 16 hours. */
const servingDueMs = 2 * 3_600_000;

export const authority = ({ bundle, signing, namespace, now }: ClusterFacts): readonly Finding[] => {
  const id = 'authority';
  const where = `ConfigMap ${namespace}/adaptlet-ca`;
  const restart = `kubectl -n ${namespace} rollout restart deployment adaptlet-operator, which writes it anew`;
  return of(bundle, id, where, (found) => {
    const text = found?.data?.['ca.crt'] ?? '';
    if (text === '') return [problem(id, `${where} has no ca.crt: no runtime trusts the operator`, restart)];
    const certificates = readable(text);
    if (certificates.length === 0) return [problem(id, `${where} has no readable certificate`, restart)];
    const last = Math.max(...certificates.map(endsAt));
    if (last <= now) return [problem(id, `${where} is over since ${dayOf(last)}`, restart)];
    const pem = 'value' in signing ? signing.value : undefined;
    const [signs] = pem === undefined ? [] : readable(pem);
    if (
      signs !== undefined &&
      certificates.every(({ fingerprint256 }) => fingerprint256 !== signs.fingerprint256)
    )
      return [
        problem(id, `${where} lacks the authority that signs (Secret ${namespace}/adaptlet-ca)`, restart),
      ];
    if (last - now < dueMs)
      return [warning(id, `${where} ends at ${dayOf(last)} and has no successor`, restart)];
    const agreed = signs === undefined ? 'whether it signs could not be looked at' : 'it signs';
    return [ok(id, `${certificates.length} in ${where}, until ${dayOf(last)}; ${agreed}`)];
  });
};

const readable = (text: string) => {
  try {
    return certificatesIn(text);
  } catch {
    // That it cannot be read is the finding.
    return [];
  }
};

export const serving = ({ handshake, namespace, now }: ClusterFacts): readonly Finding[] => {
  const id = 'serving-certificate';
  const restart = `kubectl -n ${namespace} rollout restart deployment adaptlet-operator`;
  if ('error' in handshake) {
    const { error } = handshake;
    return isNotTrusted(error.what)
      ? [problem(id, `runtimes do not accept the certificate of the operator: ${error.what}`, restart)]
      : [
          warning(
            id,
            `no replica could be asked for its certificate: ${error.what}`,
            'From a machine that reaches a replica: --operator HOST:9443. Else see operator-replicas.',
          ),
        ];
  }
  const { validUntil } = handshake.value;
  if (validUntil - now < servingDueMs)
    return [
      problem(
        id,
        `the certificate of the operator ends at ${dayOf(validUntil)} and was not renewed`,
        restart,
      ),
    ];
  return [ok(id, `accepted, until ${dayOf(validUntil)}`)];
};
