import type { Classifier } from './classifier.ts';
import type { Leaf, Match } from './match.ts';
import { nearest } from './nearest.ts';
import { patternSize } from './regex.ts';

type Rules = readonly { readonly matches: readonly Match[] }[];
type Path = readonly (string | number)[];

/** Most instructions that all patterns of one route for prompts, and those for headers, may have together: a bound on what a request can cost. */
const maxInstructions = 1000;

type Placed = { readonly path: Path; readonly leaf: Leaf };

/** Every match of rules and what is in its `not`, each with its place below `rules`. */
const leavesOf = (rules: Rules): readonly Placed[] =>
  rules.flatMap(({ matches }, rule) =>
    matches.flatMap((match, index) => {
      const path = [rule, 'matches', index];
      const negated = (match.not ?? []).map((leaf, at) => ({ path: [...path, 'not', at], leaf }));
      return [{ path, leaf: match }, ...negated];
    }),
  );

/** Labels that a classifier can give; undefined: its artifact says which. */
const labelsOf = ({ keywords, examples }: Classifier): readonly string[] | undefined =>
  (keywords?.labels ?? examples?.labels)?.map(({ name }) => name);

/** Matches that ask for a classifier, or for a label, that the route does not have. Pure. */
export const classifierProblems = ({
  rules,
  classifiers = [],
}: {
  readonly rules: Rules;
  readonly classifiers?: readonly Classifier[] | undefined;
}): readonly { readonly path: Path; readonly message: string }[] => {
  const byName = new Map(classifiers.map((one) => [one.name, one]));
  return leavesOf(rules).flatMap(({ path, leaf: { classifier: asked } }) => {
    if (asked === undefined) return [];
    const at = ['rules', ...path, 'classifier'];
    const classifier = byName.get(asked.name);
    if (classifier === undefined) {
      const [hint] = nearest(asked.name, [...byName.keys()]);
      const offer = hint === undefined ? '' : `, did you mean ${hint}`;
      return [{ path: [...at, 'name'], message: `must be a classifier of the route${offer}` }];
    }
    const known = labelsOf(classifier);
    const unknown = known && asked.labels.findIndex((label) => !known.includes(label));
    if (known === undefined || unknown === undefined || unknown === -1) return [];
    const message = `must be a label of the classifier ${asked.name}: ${known.join(', ')}`;
    return [{ path: [...at, 'labels', unknown], message }];
  });
};

/** Patterns for headers of a match. */
const headerPatterns = ({ headers = [] }: Leaf): readonly string[] =>
  headers.flatMap(({ type, value }) => (type === 'Regex' ? [value] : []));

const costly = (of: string, patterns: readonly string[]): string | undefined => {
  const total = patterns.reduce((sum, pattern) => sum + patternSize(pattern), 0);
  return total <= maxInstructions
    ? undefined
    : `the patterns of ${of} compile to ${total} instructions together, at most ${maxInstructions} are allowed: make repetitions such as {1,1000} shorter`;
};

/** Why the patterns of a route cost too much together; undefined: they do not. */
export const patternProblem = (rules: Rules): string | undefined => {
  const leaves = leavesOf(rules).map(({ leaf }) => leaf);
  return (
    costly(
      'promptRegex',
      leaves.flatMap(({ promptRegex }) => promptRegex ?? []),
    ) ?? costly('headers', leaves.flatMap(headerPatterns))
  );
};
