import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { catalogue, type ErrorCode } from '../../errors/catalogue.ts';

/** What a person at a terminal can do, where that differs from what the catalogue tells a process. */
const advice: Partial<Readonly<Record<ErrorCode, string>>> = {
  KUBE_FORBIDDEN:
    'Ask whoever administers the namespace for the ClusterRole "edit" in it, or "view" to look only.',
  KUBE_UNAVAILABLE:
    'Check the server that the kubeconfig names and the way to it: kubectl cluster-info says the same.',
  KUBE_NOT_FOUND: '',
};

/** An error in one line: what happened and what to do. */
export const textOf = (error: unknown): string => {
  if (!(error instanceof AdaptletError)) return error instanceof Error ? error.message : String(error);
  // Who threw it may have known better than either.
  const own = error.advice === catalogue[error.code].advice ? advice[error.code] : undefined;
  return own === undefined ? error.message : [error.what, own].filter((part) => part !== '').join('. ');
};
