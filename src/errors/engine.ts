import { defineErrors } from './define.ts';

/** The base model and the engine process. */
export const engineErrors = defineErrors({
  ENGINE_DOWN: {
    summary: 'The engine process ended while the request ran.',
    advice: 'Send the request again: the engine restarts by itself within seconds.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
});
