import type { Labelled } from '../routing/labelled.ts';

/** What a classifier said of a prompt whose label is known. */
export type Judged = {
  /** The right one; one that the classifier does not have means: none of its labels. */
  readonly expected: string;
  readonly labelled: Labelled;
  readonly ms: number;
};

/** What would become of the prompts with a threshold. */
export type AtThreshold = {
  readonly minConfidence: number;
  /** Share of the prompts of which the classifier is certain. */
  readonly coverage: number;
  /** Share of those whose label is right; absent where there is none. */
  readonly accuracy?: number;
};

export type Calibration = {
  readonly count: number;
  /** Share of prompts with a label of the classifier whose best label is right, however certain. */
  readonly accuracy: number;
  /** With the thresholds that the classifier has now. */
  readonly now: Omit<AtThreshold, 'minConfidence'>;
  readonly thresholds: readonly AtThreshold[];
  /** By the right label, then by the one that was given; '' where none was. With the thresholds of now. */
  readonly confusion: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly medianMs: number;
  readonly p99Ms: number;
};

const steps = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95];

/**
 * How good a classifier is on prompts whose labels are known. `minMargin` holds at all thresholds. Pure.
 * @throws RangeError without prompts
 */
export const calibrate = (
  judged: readonly Judged[],
  labels: readonly string[],
  { minMargin }: { readonly minMargin: number },
): Calibration => {
  if (judged.length === 0) throw new RangeError('there is no prompt to calibrate with');
  const known = new Set(labels);
  const meant = judged.filter(({ expected }) => known.has(expected));
  const certain = judged.filter(({ labelled }) => labelled.doubt === '');
  const times = judged.map(({ ms }) => ms).toSorted((a, b) => a - b);
  return {
    count: judged.length,
    accuracy: shareOf(meant, isRight) ?? 0,
    now: coverageOf(certain, judged.length),
    thresholds: steps.map((minConfidence) => ({
      minConfidence,
      ...coverageOf(
        judged.filter(({ labelled }) => isAbove(labelled, minConfidence, minMargin)),
        judged.length,
      ),
    })),
    confusion: confusionOf(judged),
    medianMs: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
  };
};

const isRight = ({ expected, labelled }: Judged): boolean => labelled.label === expected;

const isAbove = ({ label, score, margin }: Labelled, minConfidence: number, minMargin: number): boolean =>
  label !== '' && score >= minConfidence && margin >= minMargin;

const shareOf = <T>(items: readonly T[], holds: (item: T) => boolean): number | undefined =>
  items.length === 0 ? undefined : items.filter(holds).length / items.length;

const coverageOf = (covered: readonly Judged[], count: number): Omit<AtThreshold, 'minConfidence'> => {
  const accuracy = shareOf(covered, isRight);
  return { coverage: covered.length / count, ...(accuracy === undefined ? {} : { accuracy }) };
};

const confusionOf = (judged: readonly Judged[]): Calibration['confusion'] => {
  const rows = new Map<string, Map<string, number>>();
  for (const { expected, labelled } of judged) {
    const given = labelled.doubt === '' ? labelled.label : '';
    const row = rows.get(expected) ?? new Map<string, number>();
    row.set(given, (row.get(given) ?? 0) + 1);
    rows.set(expected, row);
  }
  return Object.fromEntries([...rows].map(([expected, row]) => [expected, Object.fromEntries(row)]));
};

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
