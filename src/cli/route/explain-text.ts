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

/** What a person reads of an explanation. */
export const explanationText = ({ kind, route, rules, labels, rule, candidates }: Explanation): string => {
  const [first, ...fallbacks] = candidates;
  return [
    kind === 'route'
      ? `route ${route}`
      : `the name is that of ${kind === 'base' ? 'the base model' : `an ${kind}`}`,
    ...rules.flatMap((one) => ruleLines(one, rule)),
    ...labels.map((labelled) => {
      const scores = labelled.scores.map(({ label, score }) => `${label} ${score.toFixed(3)}`).join(', ');
      return `${labelledText(labelled)}${scores === '' ? '' : `; scores: ${scores}`}`;
    }),
    `answers: ${first?.text ?? 'nothing'}`,
    ...fallbacks.map(({ text }) => `  else: ${text}`),
    '',
  ].join('\n');
};
