import { AdaptletError, type ErrorOptions } from '../../../errors/adaptlet-error.ts';

/** An error of a request that knows which field is wrong. */
export class FieldError extends AdaptletError {
  constructor(
    code: 'REQUEST_INVALID' | 'REQUEST_UNSUPPORTED' | 'ITEM_NOT_FOUND',
    what: string,
    param: string,
    options: ErrorOptions = {},
  ) {
    super(code, what, { ...options, param });
  }
}

/** A field that has a value which it must not have. */
export const wrong = (param: string, what: string): FieldError =>
  new FieldError('REQUEST_INVALID', `${param} ${what}`, param);
