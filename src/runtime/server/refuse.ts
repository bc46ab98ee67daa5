import { AdaptletError } from '../../errors/adaptlet-error.ts';

/** Characters of a message; it may name what came from outside, however long that is. */
const mostShown = 1000;

/** @throws REQUEST_INVALID, always */
export const refuse = (what: string): never => {
  throw new AdaptletError('REQUEST_INVALID', what.length > mostShown ? `${what.slice(0, mostShown)}…` : what);
};
