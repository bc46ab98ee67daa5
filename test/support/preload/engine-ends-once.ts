import { existsSync, writeFileSync } from 'node:fs';

/**
 * Loaded into a runtime and its engine by NODE_OPTIONS: the first engine process ends before it says a word. The file
 * that ADAPTLET_TEST_ENDED names says that it did.
 */
const mark = process.env['ADAPTLET_TEST_ENDED'];
if (mark !== undefined && process.argv[1]?.endsWith('engine/process/main.ts') === true && !existsSync(mark)) {
  writeFileSync(mark, '');
  process.exit(1);
}
