/**
 * `npm run -s bench -- NAME [--json]`: runs one benchmark; with --json prints exactly one JSON line on stdout.
 * Progress goes to stderr.
 */
import { setup as bundlePrograms } from '../support/bundled-programs.ts';
import { cache } from './cache.ts';
import { cold } from './cold.ts';
import { dashboard } from './dashboard.ts';
import { deltas } from './deltas.ts';
import { fairness } from './fairness.ts';
import { fleet } from './fleet.ts';
import { hostile } from './hostile.ts';
import { image } from './image.ts';
import { judgeBench } from './judge.ts';
import { kvPrecision } from './kv-precision.ts';
import { load } from './load.ts';
import { longAnswers } from './long-answers.ts';
import { longTexts } from './long-texts.ts';
import { many } from './many.ts';
import { memory } from './memory.ts';
import { mixed } from './mixed.ts';
import { overhead } from './overhead.ts';
import { peers } from './peers.ts';
import { prefix } from './prefix.ts';
import { products } from './products.ts';
import { providers } from './providers.ts';
import type { Report } from './report.ts';
import { reward } from './reward.ts';
import { rollback } from './rollback.ts';
import { routing } from './routing.ts';
import { sampling } from './sampling.ts';
import { sideChannel } from './side-channel.ts';
import { sizes } from './sizes.ts';
import { speculate } from './speculate.ts';
import { split } from './split.ts';
import { structured } from './structured.ts';
import { switchBench } from './switch.ts';
import { tenants } from './tenants.ts';
import { together } from './together.ts';
import { usersBench } from './users.ts';

const benches: Record<string, () => Promise<Report>> = {
  switch: switchBench,
  cold,
  split,
  fleet,
  overhead,
  memory,
  cache,
  many,
  mixed,
  fairness,
  tenants,
  'side-channel': sideChannel,
  judge: judgeBench,
  together,
  rollback,
  reward,
  image,
  products,
  providers,
  routing,
  sampling,
  prefix,
  speculate,
  structured,
  'kv-precision': kvPrecision,
  peers,
  sizes,
  deltas,
  dashboard,
  users: usersBench,
  hostile,
  load,
  'long-texts': longTexts,
  'long-answers': longAnswers,
};

const names = process.argv.slice(2).filter((a) => !a.startsWith('--'));
const json = process.argv.includes('--json');
const unknown = process.argv.slice(2).filter((a) => a !== '--json' && !(a in benches));
if (unknown.length > 0 || (json && names.length !== 1)) {
  console.error(`usage: npm run -s bench -- NAME [--json], NAME one of ${Object.keys(benches).join(', ')}`);
  process.exit(2);
}

// As images and releases have them. Saved reports from before 2026-12-01 ran from the sources.
await bundlePrograms();
// Without names all but those that install something.
const usual = Object.keys(benches).filter(
  (name) => !['peers', 'sizes', 'long-answers', 'load'].includes(name),
);
for (const name of names.length > 0 ? names : usual) {
  const result = await benches[name]?.();
  if (result === undefined) continue;
  if (json) {
    console.log(JSON.stringify(result));
    continue;
  }
  console.log(`${name} (${result.unit})  ${JSON.stringify(result.setup)}`);
  console.table(result.results);
  console.table(result.ratios);
}
