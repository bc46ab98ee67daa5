import type { AnalysisProblem } from './analysis/shared.ts';
import type { Draft, Standing } from './draft.ts';
import type { AdapterFact } from './facts.ts';
import type { Target } from './target.ts';

/** The spec's adapter is stable. */
export const completed = ({ stable }: Draft): Standing => ({
  phase: 'Healthy',
  reason: 'Completed',
  message: `${stable?.adapter} serves`,
});

/** The spec asks for stable: only its own state matters. Not being in RAM is not an illness, it loads on demand. */
export const settled = (
  draft: Draft,
  fact: AdapterFact | undefined,
  stableFails: string | undefined,
): Standing => {
  const name = draft.stable?.adapter;
  if (stableFails !== undefined) return { phase: 'Degraded', reason: 'StableFails', message: stableFails };
  if (fact === undefined) {
    const message = `Adapter ${name} was removed; what is loaded of it goes on serving`;
    return { phase: 'Degraded', reason: 'AdapterRemoved', message };
  }
  return fact.state === 'Failed' ? failed(`${name}`, fact) : completed(draft);
};

/** The canary was given up and stays so until another adapter, or a retry. */
export const givenUp = ({ abort }: Draft): Standing => ({
  phase: 'Degraded',
  reason: 'Aborted',
  message: `canary was given up, stable serves every request: ${abort?.reason}`,
});

/** A metric failed as a signal, could not tell or could not be measured: a person decides. */
export const awaitingVerdict = ({ weight }: Draft, message: string): Standing => ({
  phase: 'Paused',
  reason: 'AwaitingVerdict',
  message: `${message}; canary at ${weight} %: promote goes on, abort gives it up`,
});

/** What the canary should be judged by is not known: it stays where it is, and what does not exist may still come. */
export const awaitingAnalysis = ({ weight }: Draft, { reason, message }: AnalysisProblem): Standing => ({
  phase: reason === 'AnalysisInvalid' ? 'Degraded' : 'Progressing',
  reason,
  message: `${message}; canary stays at ${weight} %`,
});

/** Somebody holds the rollout where it is. */
export const pausedBySpec = ({ step, weight }: Draft): Standing => {
  const where =
    step === undefined
      ? 'before the first adapter'
      : `at step ${step.index + 1}/${step.total}, canary at ${weight} %`;
  return { phase: 'Paused', reason: 'PausedBySpec', message: `spec.paused holds it ${where}` };
};

/** The adapter of the spec cannot serve yet; says what is missing. */
export const awaiting = (target: Target): Standing => {
  if (target.kind === 'Missing') {
    const message = `waits for the Adapter ${target.name}, which does not exist yet`;
    return { phase: 'Progressing', reason: 'AwaitingAdapter', message };
  }
  const name = target.kind === 'Unresolved' ? target.name : target.bound.adapter;
  const { fact } = target;
  if (fact?.state === 'Failed') return failed(name, fact);
  const detail = fact === undefined || `${fact.reason}${fact.message}` === '' ? '' : ` (${because(fact)})`;
  return target.kind === 'Unresolved'
    ? { phase: 'Progressing', reason: 'AwaitingDigest', message: `waits for the digest of ${name}${detail}` }
    : {
        phase: 'Progressing',
        reason: 'AwaitingResident',
        message: `waits until ${name} is Resident${detail}`,
      };
};

const failed = (name: string, fact: AdapterFact): Standing => ({
  phase: 'Degraded',
  reason: 'AdapterFailed',
  message: `${name} cannot serve: ${because(fact)}`,
});

/** Why an adapter is not Resident, for people. */
export const because = ({ reason, message }: AdapterFact): string =>
  [reason, message].filter((part) => part !== '').join(': ') || 'no reason was given';
