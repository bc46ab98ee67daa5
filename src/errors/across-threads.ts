import { AdaptletError } from './adaptlet-error.ts';
import type { ErrorCode } from './catalogue.ts';
import { errnoOf } from './errno.ts';

type Carried = {
  readonly message: string;
  readonly stack: string | undefined;
  readonly errno: string | undefined;
};

/** The outcome of work on another thread. Errors lose their class and code between threads, so they travel as values. */
export type Settled<T> =
  | { readonly kind: 'done'; readonly value: T }
  | {
      readonly kind: 'refused';
      readonly code: ErrorCode;
      readonly what: string;
      readonly advice: string;
      readonly cause: Carried | undefined;
    }
  | { readonly kind: 'failed'; readonly error: Carried };

const carry = (error: unknown): Carried =>
  error instanceof Error
    ? { message: error.message, stack: error.stack, errno: errnoOf(error) }
    : { message: String(error), stack: undefined, errno: undefined };

const revive = ({ message, stack, errno }: Carried): Error => {
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return errno === undefined ? error : Object.assign(error, { code: errno });
};

/** Runs on the other thread. */
export const settle = async <T>(run: () => T | Promise<T>): Promise<Settled<T>> => {
  try {
    return { kind: 'done', value: await run() };
  } catch (error) {
    if (!(error instanceof AdaptletError)) return { kind: 'failed', error: carry(error) };
    const cause = error.cause === undefined ? undefined : carry(error.cause);
    const { code, what, advice } = error;
    return { kind: 'refused', code, what, advice, cause };
  }
};

/** Gives the value, or throws what the other thread threw, with class and code. */
export const unsettle = <T>(settled: Settled<T>): T => {
  if (settled.kind === 'done') return settled.value;
  if (settled.kind === 'failed') throw revive(settled.error);
  const { code, what, advice, cause } = settled;
  throw new AdaptletError(code, what, { advice, ...(cause === undefined ? {} : { cause: revive(cause) }) });
};
