/** The part of a pino logger that the engine uses: keys first, a constant message second. */
export type EngineLogger = Record<
  'debug' | 'info' | 'warn' | 'error',
  (keys: object, message: string) => void
>;
