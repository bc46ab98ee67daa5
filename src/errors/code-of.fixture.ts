import { AdaptletError } from './adaptlet-error.ts';

/** The code of the AdaptletError that a call throws or rejects with; `none` when it does neither, else the error as text. */
export const codeOf = async (run: () => unknown): Promise<string> => {
  try {
    await run();
    return 'none';
  } catch (error) {
    return error instanceof AdaptletError ? error.code : String(error);
  }
};
