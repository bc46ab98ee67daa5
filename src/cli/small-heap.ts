import { setFlagsFromString } from 'node:v8';

/**
 * For the process of a node that takes requests. It holds some 20 MiB of objects, but V8 grows its heap by far more than that
 * where a machine has memory. Here it collects garbage more often and gives pages back (docs/adr/0048). Threads of this
 * process follow; the engine process is another one.
 */
export const keepHeapSmall = (): void => {
  // The two halves in which objects begin stay as large as they are.
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--memory-saver-mode');
};
