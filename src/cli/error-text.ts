import { AdaptletError } from '../errors/adaptlet-error.ts';
import { catalogue, type ErrorCode } from '../errors/catalogue.ts';

/** What a person at a terminal can do, where that differs from what the catalogue tells a process. Empty: nothing. */
export type PersonalAdvice = Partial<Readonly<Record<ErrorCode, string>>>;

/** An error in one line: what happened and what to do. */
export const errorText = (error: unknown, advice: PersonalAdvice): string => {
  if (!(error instanceof AdaptletError)) return error instanceof Error ? error.message : String(error);
  // Who threw it may have known better than either.
  const own = error.advice === catalogue[error.code].advice ? advice[error.code] : undefined;
  return own === undefined ? error.message : [error.what, own].filter((part) => part !== '').join('. ');
};
