import { AdaptletError } from '../../errors/adaptlet-error.ts';

/** Of a runtime that is being stopped: unlike an engine that broke, it does not come back by itself. */
export const closing = (what: string): AdaptletError =>
  new AdaptletError('ENGINE_DOWN', what, {
    advice: 'Send the request to another runtime, or again when this one has started.',
  });
