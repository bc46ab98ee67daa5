import { type AnalysisSpec, type AnalysisStep, hasEnd } from '../../api/analysis.ts';
import { analysisPlaces, analysisRefs, maxAnalysisRefs } from '../../api/analysis-places.ts';
import { cut } from '../../api/condition.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { pathText } from '../../api/problems.ts';
import type { AnalysisCopy } from '../../api/rollout-status.ts';
import type { Facts } from '../facts.ts';

/** Why what a rollout should be judged by is not known. */
export type AnalysisProblem = {
  readonly reason: 'AnalysisNotFound' | 'AnalysisInvalid';
  readonly message: string;
};

/** What a strategy refers to: copies of it, or why there is no copy of something. */
export type SharedAnalyses =
  | { readonly kind: 'Found'; readonly copies: readonly AnalysisCopy[] }
  | ({ readonly kind: 'Missing' } & AnalysisProblem);

/**
 * What is measured in one place of a strategy: its own metrics, or the copy of what it refers to, of which the place may
 * change duration and onInconclusive. Undefined: there is no such copy.
 */
export const analysisInForce = (
  { ref, duration, metrics, onInconclusive }: AnalysisStep,
  copies: readonly AnalysisCopy[],
): AnalysisSpec | undefined => {
  const own = {
    ...(duration === undefined ? {} : { duration }),
    ...(metrics === undefined ? {} : { metrics }),
    ...(onInconclusive === undefined ? {} : { onInconclusive }),
  };
  if (ref === undefined) return { onInconclusive: 'Pause', ...own };
  const copy = copies.find(({ name }) => name === ref);
  return copy && { ...copy.spec, ...own };
};

/**
 * What the strategy of a rollout refers to. A copy that is there stays as it is, whatever became of the object; what was
 * not copied yet is taken as it is now. All of it, or nothing.
 */
export const sharedAnalyses = (
  { spec: { strategy }, invalidAnalyses }: Pick<RolloutObject, 'spec' | 'invalidAnalyses'>,
  copies: readonly AnalysisCopy[],
  now: Facts['analysis'],
): SharedAnalyses => {
  if (invalidAnalyses !== undefined) return invalid(invalidAnalyses);
  const names = analysisRefs(strategy);
  if (names.length > maxAnalysisRefs)
    return invalid(`the strategy refers to ${names.length} AdapterAnalyses: use at most ${maxAnalysisRefs}`);
  const found: AnalysisCopy[] = [];
  for (const name of names) {
    const copy = copies.find((known) => known.name === name) ?? copyOf(name, now);
    if ('reason' in copy) return { kind: 'Missing', ...copy };
    found.push(copy);
  }
  const endless = analysisPlaces(strategy).find(({ isStep, analysis }) => isStep && !ends(analysis, found));
  if (endless === undefined) return { kind: 'Found', copies: found };
  const where = pathText(['spec', 'strategy', ...endless.path]);
  return invalid(
    `${where}: AdapterAnalysis ${endless.analysis.ref} has no duration, and not every metric of it has a count: write a duration beside ref, it would never end`,
  );
};

const copyOf = (name: string, now: Facts['analysis']): AnalysisCopy | AnalysisProblem => {
  const fact = now?.(name);
  if (fact === undefined)
    return {
      reason: 'AnalysisNotFound',
      message: `the strategy refers to the AdapterAnalysis ${name}, which does not exist in this namespace`,
    };
  if ('invalid' in fact)
    return { reason: 'AnalysisInvalid', message: cut(`AdapterAnalysis ${name}: ${fact.invalid}`) };
  const { uid, generation, spec } = fact;
  return { name, uid, generation, spec };
};

const ends = (analysis: AnalysisStep, copies: readonly AnalysisCopy[]): boolean => {
  const inForce = analysisInForce(analysis, copies);
  return inForce?.duration !== undefined || (inForce !== undefined && hasEnd(inForce));
};

const invalid = (message: string): SharedAnalyses => ({
  kind: 'Missing',
  reason: 'AnalysisInvalid',
  message: cut(message),
});
