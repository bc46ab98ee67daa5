import { defineErrors } from './define.ts';

/** Starting and steering a runtime: configuration, state files, verbs of Admin. */
export const runtimeErrors = defineErrors({
  INTERNAL: {
    summary: 'A defect of Adaptlet, or a failure of the machine that no other code describes.',
    advice: 'Please report it with the log lines around it.',
    grpc: 'INTERNAL',
    retry: 'Backoff',
  },
  CONFIG_INVALID: {
    summary: 'A flag or an environment variable is not valid, or names something that cannot be used.',
    advice: 'Correct the setting that the message names; `--help` of the command lists them.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  VERB_REFUSED: {
    summary: 'An Admin verb does not apply in the present state.',
    advice: 'The message says which state the object is in.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
});
