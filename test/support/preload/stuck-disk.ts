import { existsSync, readFileSync } from 'node:fs';
import disk from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

/**
 * Loaded into a runtime by NODE_OPTIONS: its disk never says that a plan is written, as long as the file that
 * ADAPTLET_TEST_STUCK names is there. In that file: `before` or `after` the new plan takes the place of the old one.
 */
const mark = process.env['ADAPTLET_TEST_STUCK'] ?? '';
const { rename } = disk;
const forEver = new Promise<never>(() => undefined);

disk.rename = async (from, to) => {
  const stuck = String(to).endsWith('/plan.json') && existsSync(mark) ? readFileSync(mark, 'utf8') : '';
  if (stuck === 'before') await forEver;
  await rename(from, to);
  if (stuck === 'after') await forEver;
};
syncBuiltinESMExports();
