import type { Digest, ObjectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Engine } from '../engine/engine.ts';
import type { Lease, Residency } from '../residency/manager.ts';
import type { Candidate } from '../routing/decision.ts';
import type { ServedBy } from '../routing/request.ts';
import type { Demand } from './demand.ts';
import { outcomeOf } from './guard/outcome.ts';
import { perUserResource } from './per-user.ts';

export type AcquireParts = {
  readonly engine: Pick<Engine, 'info'>;
  readonly residency: Pick<Residency, 'acquire' | 'ensure' | 'serves' | 'tryAcquire'>;
  /** Absent: the plan has all names there are. */
  readonly demand?: Demand | undefined;
};

/** What was acquired for a request: a lease on an adapter, or the base model. */
export type Acquired = {
  readonly lease: Lease | undefined;
  readonly candidate: Candidate;
  readonly served: ServedBy;
};

/** The first candidate that can serve. When none can, the error of the first one: it is what the caller asked for. */
export const acquireFirst = async (
  parts: AcquireParts,
  candidates: readonly Candidate[],
  signal: AbortSignal,
): Promise<Acquired> => {
  let refusal: unknown;
  for (const candidate of candidates) {
    try {
      return await acquire(parts, candidate, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      refusal = refusal === undefined ? withTrouble(candidate, error) : withDenial(refusal, candidate);
    }
  }
  throw refusal;
};

const acquire = async (
  { residency, engine, demand }: AcquireParts,
  candidate: Candidate,
  signal: AbortSignal,
): Promise<Acquired> => {
  const { rule, classified } = candidate;
  const by = { rule, ...(classified === undefined ? {} : { classified }) };
  switch (candidate.kind) {
    case 'base': {
      const served: ServedBy = {
        adapter: '',
        digest: engine.info().baseDigest,
        rollout: candidate.rollout ?? '',
        arm: 'base',
        ...by,
      };
      return { lease: undefined, candidate, served };
    }
    case 'unavailable':
      throw new AdaptletError(candidate.code ?? 'ADAPTER_NOT_AVAILABLE', candidate.reason);
    case 'perUser': {
      const resource = perUserResource(candidate);
      residency.ensure(resource);
      const lease = await residency.acquire(resource.name, { signal });
      return {
        lease,
        candidate,
        served: { adapter: lease.name, digest: lease.digest, rollout: '', arm: '', ...by },
      };
    }
    case 'adapter': {
      const { key, digest, rollout, arm } = candidate;
      if (rollout === '') demand?.used(key);
      const bound = digest === undefined ? {} : { digest };
      const ready = residency.tryAcquire(key, bound);
      // Users of a canary must not wait for what stable answers at once.
      if (ready === undefined && arm === 'canary' && !isInTurn(residency, key, digest)) {
        throw new AdaptletError(
          'ADAPTER_NOT_AVAILABLE',
          `canary ${key} of rollout ${rollout} left the RAM a moment ago`,
        );
      }
      const lease = ready ?? (await residency.acquire(key, { ...bound, signal }));
      return {
        lease,
        candidate,
        served: { adapter: lease.name, digest: lease.digest, rollout, arm, ...by },
      };
    }
  }
};

/** With one adapter at a time a canary waits for its turn, as stable does. */
const isInTurn = (
  residency: Pick<Residency, 'serves'>,
  key: ObjectKey,
  digest: Digest | undefined,
): boolean => digest !== undefined && residency.serves(key, digest);

/** What a caller is told when the last version that might have answered failed, too. */
export const withTrouble = (candidate: Candidate, error: unknown): unknown => {
  if (candidate.kind !== 'adapter' || candidate.trouble === undefined || outcomeOf(error) !== 'failure')
    return error;
  const last = error instanceof Error ? error.message : String(error);
  return new AdaptletError('NO_VERSION_SERVES', `${candidate.trouble}; ${candidate.key}: ${last}`, {
    cause: error,
  });
};

/** The same refusal, with the policy that keeps the base model from answering in its place. */
const withDenial = (refusal: unknown, candidate: Candidate): unknown => {
  if (candidate.kind !== 'unavailable' || candidate.code !== 'BASE_NOT_ALLOWED') return refusal;
  if (!(refusal instanceof AdaptletError)) return refusal;
  const { code, what, advice, retryAfterMs } = refusal;
  return new AdaptletError(code, `${what}; ${candidate.reason}`, {
    cause: refusal,
    advice,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
};
