import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, pino } from 'pino';

/** Bytes of log that wait for a reader; what comes on top is dropped. */
const maxWaitingBytes = 1 << 20;
/** Milliseconds that the last lines may take to leave. */
const lastLinesMs = 1000;

export type Log = {
  readonly logger: Logger;
  /** Ends the process with code 0, after the last lines. */
  readonly exit: () => Promise<never>;
};

/**
 * JSON lines on stderr.
 *
 * Guarantee: a reader of the log that stalls or goes away neither holds up the node nor keeps it from ending.
 */
export const openLog = (level: string): Log => {
  const destination = pino.destination({ fd: 2, sync: false, maxLength: maxWaitingBytes });
  const ended = Promise.withResolvers<boolean>();
  // A reader that went away is an error of the stream, and its end.
  for (const event of ['close', 'error']) destination.on(event, () => ended.resolve(true));
  return {
    logger: pino({ name: 'adaptlet', level }, destination),
    exit: async () => {
      destination.end();
      const late = sleep(lastLinesMs, false);
      // An exit waits for the thread that is writing, and that one waits for the reader.
      if (!(await Promise.race([ended.promise, late]))) process.kill(process.pid, 'SIGKILL');
      process.exit(0);
    },
  };
};
