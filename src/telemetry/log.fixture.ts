import type { Log } from './log.ts';

const silent = (): void => undefined;

/** A log that nobody reads. */
export const silentLog: Log = { debug: silent, info: silent, warn: silent, error: silent };
