/**
 * A process that somebody waits for, over a pipe to its stdin, ends with that one, however that ends. What a terminal or the stop of a
 * service sends to every process does not end it: who waits says when.
 */
export const endWithParent = (): void => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  process.stdin.on('end', () => process.exit(1)).resume();
  // What is done ends by itself.
  process.stdin.unref();
};
