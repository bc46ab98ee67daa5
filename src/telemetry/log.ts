/** What parts log to: keys first, a constant message second. A pino logger is one. */
export type Log = Record<'debug' | 'info' | 'warn' | 'error', (keys: object, message: string) => void>;
