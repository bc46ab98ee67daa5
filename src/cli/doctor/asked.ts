import { asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { Asked } from './finding.ts';

/** What `work` gives, or why it gives nothing. Never throws. */
export const ask = async <T>(work: () => Promise<T>, where: string): Promise<Asked<T>> => {
  try {
    return { value: await work() };
  } catch (error) {
    return { error: asAdaptletError(error, where) };
  }
};
