/** Of one label; higher is better. */
export type LabelScore = { readonly label: string; readonly score: number };

/** What a classifier says of a prompt. */
export type Labelled = {
  readonly classifier: string;
  /** The best label; '' where there is none. */
  readonly label: string;
  /** Confidence of the best label, 0 to 1. */
  readonly score: number;
  /** Distance to the second label; the score itself where there is no second one. */
  readonly margin: number;
  /** All labels, the best first. */
  readonly scores: readonly LabelScore[];
  /** Why the label counts for nothing; '' where the classifier is certain of it. */
  readonly doubt: string;
  /** The session had it before. */
  readonly isRemembered?: boolean;
  /** It could not be asked: a decision without it holds for this request alone. */
  readonly isAbsent?: boolean;
};

/** It has nothing to say. */
export const silent = (classifier: string, doubt: string): Labelled => ({
  classifier,
  label: '',
  score: 0,
  margin: 0,
  scores: [],
  doubt,
});

/** It cannot be asked now. */
export const absent = (classifier: string, doubt: string): Labelled => ({
  ...silent(classifier, doubt),
  isAbsent: true,
});

/** What gives prompts of one request labels; each classifier is asked once. */
export type LabelOf = (classifier: string) => Labelled;

const three = (value: number): string => value.toFixed(3);

/** For a header: `intent=medical;score=0.831;margin=0.402`, with `;uncertain` where it counted for nothing. */
export const classifiedText = (all: Iterable<Labelled>): string =>
  [...all]
    .map(
      ({ classifier, label, score, margin, doubt }) =>
        `${classifier}=${label};score=${three(score)};margin=${three(margin)}${doubt === '' ? '' : ';uncertain'}`,
    )
    .join(', ');

/** For people. */
export const labelledText = ({ classifier, label, score, margin, doubt }: Labelled): string => {
  const best = label === '' ? 'no label' : `${label} (score ${three(score)}, margin ${three(margin)})`;
  return `classifier ${classifier}: ${best}${doubt === '' ? '' : `, uncertain: ${doubt}`}`;
};
