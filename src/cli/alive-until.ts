/** The longest timer that there is; it fires nothing. */
const longMs = 2_147_483_647;

/**
 * Keeps the process alive until `work` ends; gives what `work` gives.
 *
 * The timers of `systemClock` keep no process alive: those that a closed part leaves behind must not delay its
 * end. So a process that only waits for a next try (the API server refuses connections, the engine ended and is started
 * again) has nothing that Node would wait for, and Node would end it in the middle of its work, with code 13.
 */
export const aliveUntil = async <T>(work: Promise<T>): Promise<T> => {
  const hold = setInterval(() => undefined, longMs);
  try {
    return await work;
  } finally {
    clearInterval(hold);
  }
};
