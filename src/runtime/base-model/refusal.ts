import { asAdaptletError } from '../../errors/adaptlet-error.ts';

/** Why a model would not be served. */
export type Refusal = { readonly code: string; readonly message: string; readonly advice: string };

export const refusalOf = (error: unknown): Refusal => {
  const { code, what, advice } = asAdaptletError(error, 'model check');
  return { code, message: what, advice };
};
