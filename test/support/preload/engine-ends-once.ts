import { existsSync, writeFileSync } from 'node:fs';

/**
 * Loaded into a runtime and its engine by NODE_OPTIONS: the first engine process ends before it says a word. The file
 * that ADAPTLET_TEST_ENDED names says that it did.
 */
const mark = process.env['ADAPTLET_TEST_ENDED'];
if (
  mark !== undefined &&
  /engine[/-]process[/-]main\.m?[jt]s$/.test(process.argv[1] ?? '') &&
  !existsSync(mark)
) {
  writeFileSync(mark, '');
  process.exit(1);
}
