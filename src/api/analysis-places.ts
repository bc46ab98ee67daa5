import type { AnalysisStep } from './analysis.ts';
import type { Strategy } from './rollout.ts';

/** One place of a strategy where an analysis stands. */
export type AnalysisPlace = {
  /** Below spec.strategy. */
  readonly path: readonly (string | number)[];
  /** It has to come to an end. */
  readonly isStep: boolean;
  readonly analysis: AnalysisStep;
};

/** Every analysis that somebody wrote into a strategy, in its order. */
export const analysisPlaces = ({ canary, blueGreen }: Strategy): readonly AnalysisPlace[] => {
  const place = (
    path: AnalysisPlace['path'],
    analysis: AnalysisStep | undefined,
    isStep = true,
  ): readonly AnalysisPlace[] => (analysis === undefined ? [] : [{ path, isStep, analysis }]);
  return [
    ...(canary?.steps ?? []).flatMap(({ analysis }, index) =>
      place(['canary', 'steps', index, 'analysis'], analysis),
    ),
    ...place(['canary', 'analysis'], canary?.analysis, false),
    ...place(['blueGreen', 'prePromotionAnalysis'], blueGreen?.prePromotionAnalysis),
    ...place(['blueGreen', 'postPromotionAnalysis'], blueGreen?.postPromotionAnalysis),
  ];
};

/** Names of the AdapterAnalyses that a strategy refers to, each once. */
export const analysisRefs = (strategy: Strategy): readonly string[] => [
  ...new Set(analysisPlaces(strategy).flatMap(({ analysis }) => analysis.ref ?? [])),
];

/** Different AdapterAnalyses that a rollout may refer to: its status has a copy of each. */
export const maxAnalysisRefs = 8;
