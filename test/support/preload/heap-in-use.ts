import { renameSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Loaded into a process by NODE_OPTIONS: at SIGUSR2 it collects garbage and writes what is in use then, and what V8 keeps for it,
 * in bytes, into the file that ADAPTLET_TEST_HEAP names, with its pid at the end. Resident memory also has what V8 has not collected yet.
 */
setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');
const file = `${process.env['ADAPTLET_TEST_HEAP'] ?? ''}${process.pid}`;

process.on('SIGUSR2', () => {
  if (typeof collect === 'function') collect();
  const { heapUsed, heapTotal, external } = process.memoryUsage();
  writeFileSync(`${file}.new`, JSON.stringify({ inUse: heapUsed + external, kept: heapTotal + external }));
  renameSync(`${file}.new`, file);
});
