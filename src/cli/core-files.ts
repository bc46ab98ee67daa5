import { writeFileSync } from 'node:fs';
import type { Logger } from 'pino';

/** Headers of ELF files, by which a debugger finds programs and libraries; no memory. See core(5). */
const headersOnly = '0x10';

/**
 * Keeps memory out of core files of this process and of those that it starts: credentials of registries, prompts and adapters
 * are in it. What a core is left with is registers and the list of libraries.
 */
export const keepMemoryOutOfCores = (coreFiles: 'headers' | 'memory', logger: Pick<Logger, 'warn'>): void => {
  if (coreFiles === 'memory') return;
  try {
    writeFileSync('/proc/self/coredump_filter', headersOnly);
  } catch (error) {
    logger.warn(
      { err: error },
      'a core file of this process would have its memory: limit them by ulimit -c 0',
    );
  }
};
