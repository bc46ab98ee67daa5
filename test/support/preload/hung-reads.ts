import { appendFileSync, constants, existsSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/**
 * Loaded into a runtime and its engine by NODE_OPTIONS: large pieces that the engine reads of files do not come, as long as the
 * file `hangs` is in the folder that ADAPTLET_TEST_HUNG names: each read holds its thread, as one of a disk that does not
 * answer does. It returns when a byte is written to `pipe`, a named pipe that is there. Small pieces the kernel has in memory.
 * Each read that hangs is a byte of the file `hung`.
 */
const smallBytes = 64 << 10;
const folder = process.env['ADAPTLET_TEST_HUNG'] ?? '';
if (/engine[/-]process[/-]main\.m?[jt]s$/.test(process.argv[1] ?? '')) {
  // Both ways, so that opening it does not wait for the other end.
  const pipe = await open(`${folder}/pipe`, constants.O_RDWR);
  const prototype = Object.getPrototypeOf(pipe) as FileHandle;
  const read = Reflect.get(prototype, 'read');
  prototype.read = async function (this: FileHandle, ...given: unknown[]) {
    if (Number(given[2]) > smallBytes && existsSync(`${folder}/hangs`)) {
      appendFileSync(`${folder}/hung`, '.');
      await Reflect.apply(read, pipe, [Buffer.alloc(1), 0, 1, null]);
    }
    return Reflect.apply(read, this, given);
  } as FileHandle['read'];
}
