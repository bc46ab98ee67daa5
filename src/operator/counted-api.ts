import { errorCodeOf } from '../errors/adaptlet-error.ts';
import type { KubeApi } from '../kube/client/api.ts';

export type RequestCount = { readonly method: string; readonly code: string; readonly count: number };

/** Counts requests by method and result: `OK` or a code of the error catalogue. */
export const countRequests = (api: KubeApi): KubeApi & { readonly counts: () => readonly RequestCount[] } => {
  const counts = new Map<string, { method: string; code: string; count: number }>();
  const counted = async <T>(method: string, asked: Promise<T>): Promise<T> => {
    const add = (code: string): void => {
      const known = counts.get(`${method} ${code}`) ?? { method, code, count: 0 };
      known.count++;
      counts.set(`${method} ${code}`, known);
    };
    try {
      const answer = await asked;
      add('OK');
      return answer;
    } catch (error) {
      add(errorCodeOf(error) || 'ABORTED');
      throw error;
    }
  };
  return {
    request: (request) => counted(request.method, api.request(request)),
    stream: (request) => counted('WATCH', api.stream(request)),
    counts: () => [...counts.values()],
  };
};
