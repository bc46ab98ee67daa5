import { writeFileSync } from 'node:fs';

/**
 * Loaded into a runtime and its engine by NODE_OPTIONS: an engine process never says that it loaded the base model, and ends with
 * its runtime. The file that ADAPTLET_TEST_ENGINE names has its id.
 */
const mark = process.env['ADAPTLET_TEST_ENGINE'];
if (mark !== undefined && /engine[/-]process[/-]main\.m?[jt]s$/.test(process.argv[1] ?? '')) {
  process.once('disconnect', () => process.exit());
  writeFileSync(mark, String(process.pid));
  await new Promise(() => undefined);
}
