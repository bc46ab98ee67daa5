import { AdaptletError, asAdaptletError } from '../errors/adaptlet-error.ts';
import type { ErrorCode } from '../errors/catalogue.ts';
import type { KubeApi } from '../kube/client/api.ts';
import { type KubeObject, pathOf } from '../kube/client/object.ts';
import type { Clock } from '../time/clock.ts';
import { secretType } from './objects/resource-types.ts';

/** Milliseconds for which a value is used without another look. */
export const keptMs = 15_000;
/** Most values that are kept. */
const maxKept = 256;

export type Secret = KubeObject & {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
};

export type SecretParts = {
  readonly api: Pick<KubeApi, 'request'>;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Of the operator, whose Secrets are for nobody. */
  readonly namespace: string;
};

/** What is made of a Secret that a namespace names. */
type SecretUse<Ref, T> = {
  /**
   * The label that must be `"true"`: whoever names a Secret need not be who may read it, so its owner says what it may be used
   * for.
   */
  readonly label: string;
  readonly code: ErrorCode;
  /** Says in no error what is in the Secret. `where`: its kind, namespace and name. */
  readonly valueOf: (secret: Secret, ref: Ref, where: string) => T;
};

/**
 * Values out of Secrets, read when they are needed and kept for some seconds, in memory only.
 * @throws `code`, and KUBE_* when the API server does not answer
 */
export const secretValues = <Ref extends { readonly name: string }, T>(
  { api, clock, namespace: own }: SecretParts,
  { label, code, valueOf }: SecretUse<Ref, T>,
): ((namespace: string, ref: Ref, signal: AbortSignal) => Promise<T>) => {
  const kept = new Map<string, { readonly value: T; readonly until: number }>();

  /** What the API server's answer means to who wrote the name. */
  const explained = (error: unknown, where: string, namespace: string): unknown => {
    const { code: answer } = asAdaptletError(error, where);
    if (answer === 'KUBE_FORBIDDEN')
      return new AdaptletError(code, `the operator may not read ${where}`, {
        advice: `Ask the administrator to list the namespace ${namespace} in credentials.namespaces of the chart.`,
      });
    return answer === 'KUBE_NOT_FOUND' ? new AdaptletError(code, `there is no ${where}`) : error;
  };

  const read = async (namespace: string, ref: Ref, signal: AbortSignal): Promise<T> => {
    const where = `Secret ${namespace}/${ref.name}`;
    if (namespace === own)
      throw new AdaptletError(code, `${where} is in the namespace of the operator`, {
        advice: 'Put what names it, and the Secret, into another namespace.',
      });
    const path = pathOf(secretType, namespace, ref.name);
    const secret = await api.request<Secret>({ method: 'GET', path, signal }).catch((error: unknown) => {
      throw explained(error, where, namespace);
    });
    if (secret.metadata.labels?.[label] !== 'true')
      throw new AdaptletError(code, `${where} does not have the label ${label}: "true"`);
    return valueOf(secret, ref, where);
  };

  return async (namespace, ref, signal) => {
    const key = JSON.stringify([namespace, ref]);
    const known = kept.get(key);
    if (known !== undefined && known.until > clock.monotonic()) return known.value;
    kept.delete(key);
    const value = await read(namespace, ref, signal);
    kept.set(key, { value, until: clock.monotonic() + keptMs });
    for (const oldest of kept.keys()) {
      if (kept.size <= maxKept) break;
      kept.delete(oldest);
    }
    return value;
  };
};
