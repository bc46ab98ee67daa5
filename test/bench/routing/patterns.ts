import { RE2JS } from 're2js';
import { compileRegex } from '../../../src/api/regex.ts';
import { quantile, type Variant, variant } from '../report.ts';

/** What routes ask about prompts. The first four need not look at the whole of one. */
const patterns = [
  '(?i)invoice',
  '^/v1/',
  'BEGIN [A-Z ]+ KEY',
  'invoice.{0,200}password',
  '(?i)\\b(select|insert|update)\\b.*\\bwhere\\b',
  '(?i)(translate|übersetze).{0,80}(french|german)',
  '(?i)\\b(python|java|rust|go) (code|function)\\b',
  '[A-Z]{2}\\d{6,10}',
  '(?i)(refund|return|money back|cancel)',
  '\\p{Han}',
];

/** As many characters as rules see of a prompt. */
const prompt = 'please write an invoice for the customer with 12 items and select the total of all orders. '
  .repeat(30)
  .slice(0, 2048);

const rounds = 200;

/** Microseconds of all patterns together, asked about a whole prompt, and how much of what searches for their places take that is. */
export const patternsBench = (): { readonly micros: Variant; readonly ratio: number } => {
  const told = patterns.map((pattern) => {
    const regex = compileRegex(pattern);
    return () => regex.test(prompt);
  });
  const found = patterns.map((pattern) => {
    const alone = RE2JS.compile(pattern);
    return () => alone.matcher(prompt).find();
  });
  const microsOf = (asks: readonly (() => boolean)[]): number => {
    const started = performance.now();
    for (const ask of asks) ask();
    return 1000 * (performance.now() - started);
  };
  const times = Array.from({ length: 20 + rounds }, () => ({ told: microsOf(told), found: microsOf(found) }));
  const measured = times.slice(20);
  const micros = measured.map((round) => round.told);
  return {
    micros: variant(micros),
    ratio: quantile(
      measured.map((round) => round.told / round.found),
      0.5,
    ),
  };
};
