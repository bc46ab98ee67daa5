import { RE2JS } from 're2js';
import { compileRegex } from '../../../src/api/regex.ts';
import { quantile, type Variant, variant } from '../report.ts';

/** What routes ask about prompts; most of them look at the whole of it. */
const patterns = [
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

/** Microseconds of one pattern asked about a whole prompt, and how much of what a search for the place takes that is. */
export const patternsBench = (): { readonly micros: Variant; readonly ratio: number } => {
  const ways = {
    told: patterns.map((pattern) => {
      const told = compileRegex(pattern);
      return () => told.test(prompt);
    }),
    found: patterns.map((pattern) => {
      const alone = RE2JS.compile(pattern);
      return () => alone.matcher(prompt).find();
    }),
  };
  const times = { told: [] as number[], found: [] as number[] };
  for (let round = -20; round < rounds; round += 1)
    for (const way of ['told', 'found'] as const)
      for (const ask of ways[way]) {
        const started = performance.now();
        ask();
        if (round >= 0) times[way].push(1000 * (performance.now() - started));
      }
  return { micros: variant(times.told), ratio: quantile(times.told, 0.5) / quantile(times.found, 0.5) };
};
