import type { ExplainedRule, Explanation } from '../../runtime/routing/explain.ts';
import { labelledText } from '../../runtime/routing/labelled.ts';

const mark = { yes: '+', no: '-', unknown: '?' } as const;

const ruleLines = ({ name, verdict, matches }: ExplainedRule, taken: string): readonly string[] => {
  const note = name === taken ? ', takes the request' : '';
  const every = matches.length === 0 ? ', every request matches' : '';
  return [
    `${mark[verdict]} rule ${name}: ${verdict}${every}${note}`,
    ...matches.flatMap((match, index) => [
      ...(matches.length > 1 ? [`    ${mark[match.verdict]} match ${index + 1}: ${match.verdict}`] : []),
      ...match.conditions.map(
        (one) => `      ${mark[one.verdict]} ${one.text}${one.given === '' ? '' : ` (has: ${one.given})`}`,
      ),
    ]),
  ];
};

const outcomeLines = (
  { candidates }: Explanation,
  { because = [], undecided }: Outcome,
): readonly string[] => {
  if (undecided !== undefined)
    return [`undecided here: ${undecided}`, ...because.map((text) => `  note: ${text}`)];
  const [first, ...fallbacks] = candidates;
  return [
    `answers: ${first?.text ?? 'nothing'}`,
    ...because.map((text) => `  because: ${text}`),
    ...fallbacks.map(({ text }) => `  else: ${text}`),
  ];
};

/** What is known besides of how a request ends. */
export type Outcome = {
  /** Why the first candidate answers, and what is to know about the node; the latter alone where nobody can tell here. */
  readonly because?: readonly string[];
  /** Why nobody can tell here, and who can. Absent: the candidates are right. */
  readonly undecided?: string | undefined;
};

/** What a person reads of an explanation. */
export const explanationText = (explanation: Explanation, outcome: Outcome = {}): string => {
  const { kind, route, rules, labels, rule } = explanation;
  return [
    kind === 'route'
      ? `route ${route}`
      : `the name is that of ${kind === 'base' ? 'the base model' : `an ${kind}`}`,
    ...rules.flatMap((one) => ruleLines(one, rule)),
    ...labels.map((labelled) => {
      const scores = labelled.scores.map(({ label, score }) => `${label} ${score.toFixed(3)}`).join(', ');
      return `${labelledText(labelled)}${scores === '' ? '' : `; scores: ${scores}`}`;
    }),
    ...outcomeLines(explanation, outcome),
    '',
  ].join('\n');
};
