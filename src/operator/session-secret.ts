import { randomBytes } from 'node:crypto';
import { AdaptletError, asAdaptletError, errorCodeOf } from '../errors/adaptlet-error.ts';
import type { KubeApi } from '../kube/client/api.ts';
import { pathOf } from '../kube/client/object.ts';
import type { Log } from '../telemetry/log.ts';
import { backoffMs } from '../time/backoff.ts';
import type { Clock } from '../time/clock.ts';
import { pause } from '../time/pause.ts';
import { secretType } from './objects/resource-types.ts';

/** Name of the Secret in the operator's namespace that keys for tokens of sessions are made of. */
export const sessionSecretName = 'adaptlet-sessions';

const entry = 'secret';
/** Of 32 bytes as base64url. */
const leastCharacters = 43;
const retryDelays = { firstMs: 1_000, maxMs: 60_000 };
/** What is the same the next time: it, or the right to it, is wrong, or a webhook refuses it. */
const hopeless: ReadonlySet<string> = new Set(['CONFIG_INVALID', 'KUBE_FORBIDDEN', 'KUBE_INVALID']);
/** Lost races of one look. */
const maxRounds = 5;

type SessionSecretParts = {
  readonly api: Pick<KubeApi, 'request'>;
  /** Of the operator. */
  readonly namespace: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Log;
};

type Data = { readonly data?: Readonly<Record<string, string>> };

/**
 * What all replicas make the keys for tokens of sessions of: the Secret, which is made where there is none. It is read once:
 * who deletes the Secret to end all tokens restarts the replicas. Undefined, with an error in the log: it is there and cannot be
 * used, or may not be read or made; sessions then have no tokens.
 *
 * Tries until the API server answers.
 * @throws the reason of the signal
 */
export const openSessionSecret = async (
  parts: SessionSecretParts,
  signal: AbortSignal,
): Promise<string | undefined> => {
  const { clock, random, logger } = parts;
  for (let failures = 1; ; failures++) {
    signal.throwIfAborted();
    try {
      return await agreed(parts, signal);
    } catch (error) {
      const err = asAdaptletError(error, `reading the Secret ${sessionSecretName}`);
      if (hopeless.has(err.code)) {
        logger.error({ err }, 'sessions have no tokens: their Secret cannot be used');
        return undefined;
      }
      logger.warn({ err }, 'the Secret of sessions could not be read; it is tried again');
    }
    await pause(clock, backoffMs(failures, random, retryDelays), signal);
  }
};

/** Of several replicas that find none the first one makes it. */
const agreed = async ({ api, namespace }: SessionSecretParts, signal: AbortSignal): Promise<string> => {
  for (let round = 0; round < maxRounds; round++) {
    const path = pathOf(secretType, namespace, sessionSecretName);
    const found = await orUndefined('KUBE_NOT_FOUND', api.request<Data>({ method: 'GET', path, signal }));
    if (found !== undefined) return secretIn(found, namespace);
    const secret = randomBytes(32).toString('base64url');
    const body = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name: sessionSecretName,
        namespace,
        labels: { 'app.kubernetes.io/managed-by': 'adaptlet' },
      },
      type: 'Opaque',
      data: { [entry]: Buffer.from(secret, 'utf8').toString('base64') },
    };
    const asked = { method: 'POST', path: pathOf(secretType, namespace), body, signal } as const;
    const made = await orUndefined('KUBE_CONFLICT', api.request<Data>(asked));
    if (made !== undefined) return secret;
  }
  throw new AdaptletError('KUBE_CONFLICT', `the Secret ${namespace}/${sessionSecretName} came and went`);
};

const orUndefined = async <T>(
  code: 'KUBE_NOT_FOUND' | 'KUBE_CONFLICT',
  asked: Promise<T>,
): Promise<T | undefined> => {
  try {
    return await asked;
  } catch (error) {
    if (errorCodeOf(error) === code) return undefined;
    throw error;
  }
};

const secretIn = ({ data }: Data, namespace: string): string => {
  const secret = Buffer.from(data?.[entry] ?? '', 'base64').toString('utf8');
  if (secret.length >= leastCharacters) return secret;
  const what = `the Secret ${namespace}/${sessionSecretName} has no "${entry}" of at least ${leastCharacters} characters`;
  throw new AdaptletError('CONFIG_INVALID', what, {
    advice:
      'Delete the Secret and restart the operator: another one is made, and sessions go on without their tokens.',
  });
};
