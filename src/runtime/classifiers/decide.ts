import type { Classifier } from '../../api/classifier.ts';
import { type Labelled, type LabelScore, silent } from '../routing/labelled.ts';

/** The best first; of equal ones the one whose name comes first, so that all nodes say the same. */
export const ranked = (scores: readonly LabelScore[]): readonly LabelScore[] =>
  scores.toSorted((a, b) => b.score - a.score || (a.label < b.label ? -1 : 1));

/** What scores mean by the thresholds of a classifier. Pure. */
export const decide = (
  { name, minConfidence, minMargin }: Pick<Classifier, 'name' | 'minConfidence' | 'minMargin'>,
  given: readonly LabelScore[] | undefined,
): Labelled => {
  const scores = ranked(given ?? []);
  const [best, second] = scores;
  if (best === undefined) return silent(name, 'nothing in the prompt speaks for a label');
  const margin = best.score - (second?.score ?? 0);
  return {
    classifier: name,
    label: best.label,
    score: best.score,
    margin,
    scores,
    doubt: doubtOf(best.score, margin, { minConfidence, minMargin }),
  };
};

const doubtOf = (
  score: number,
  margin: number,
  { minConfidence, minMargin }: Pick<Classifier, 'minConfidence' | 'minMargin'>,
): string => {
  // Written so that what is no number is a doubt, too.
  if (!(score >= minConfidence)) return `the score is below minConfidence ${minConfidence}`;
  if (!(margin >= minMargin)) return `the margin is below minMargin ${minMargin}`;
  return '';
};
