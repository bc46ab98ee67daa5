import disk from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Loaded into a runtime by NODE_OPTIONS: its disk takes a second to put a file in place, if that has the name that
 * ADAPTLET_TEST_SLOW says. All others it writes as fast as ever.
 */
const slow = process.env['ADAPTLET_TEST_SLOW'];
const { rename } = disk;

disk.rename = async (from, to) => {
  if (basename(String(to)) === slow) await sleep(1000);
  await rename(from, to);
};
syncBuiltinESMExports();
