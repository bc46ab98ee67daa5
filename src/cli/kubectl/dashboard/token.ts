import { dashboardAudience } from '../../../dashboard/views.ts';
import { AdaptletError, errorCodeOf } from '../../../errors/adaptlet-error.ts';
import type { KubeConnection } from '../../../kube/client/client.ts';
import type { Clock } from '../../../time/clock.ts';

/** Seconds for which a token is made: the shortest that API servers give. */
const lifeSeconds = 600;
/** Part of its life for which it is used. */
const usedPart = 0.8;

/** ServiceAccount of the chart that may view what the dashboard shows, for those who have no token of their own. */
export const viewerAccount = 'adaptlet-dashboard';

export type TokenParts = {
  readonly api: Pick<KubeConnection, 'request' | 'bearer'>;
  readonly clock: Clock;
  /** Of the operator. */
  readonly namespace: string;
  /** `namespace/name` of the ServiceAccount to look as; undefined: the person. */
  readonly account: string | undefined;
};

/**
 * Says who looks: by the person's own Bearer token where the kubeconfig gives one; else, and where an account is named, by
 * a token of that account for the dashboard alone, made anew in time.
 */
export const viewerToken = ({ api, clock, namespace, account }: TokenParts): (() => Promise<string>) => {
  const [ofNamespace = '', ofName = ''] = (account ?? `${namespace}/${viewerAccount}`).split('/', 2);
  let made: { readonly until: number; readonly token: Promise<string> } | undefined;
  return async () => {
    const own = account === undefined ? await api.bearer() : undefined;
    if (own !== undefined) return own;
    const now = clock.monotonic();
    if (made === undefined || now >= made.until) {
      const token = tokenOf(api, ofNamespace, ofName, account === undefined);
      const making = { until: now + lifeSeconds * 1000 * usedPart, token };
      made = making;
      token.catch(() => {
        // The next one who asks tries again.
        if (made === making) made = undefined;
      });
    }
    return made.token;
  };
};

const tokenOf = async (
  api: TokenParts['api'],
  namespace: string,
  name: string,
  isFallback: boolean,
): Promise<string> => {
  try {
    const { status } = await api.request<{ readonly status?: { readonly token?: string } }>({
      method: 'POST',
      path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(name)}/token`,
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { audiences: [dashboardAudience], expirationSeconds: lifeSeconds },
      },
    });
    if (status?.token !== undefined) return status.token;
    throw new AdaptletError('KUBE_UNAVAILABLE', 'the API server made no token');
  } catch (error) {
    if (!isFallback || errorCodeOf(error) === '') throw error;
    throw new AdaptletError(
      'VIEWER_UNKNOWN',
      `your kubeconfig has no token, and none can be made of the ServiceAccount ${namespace}/${name}: ${errorCodeOf(error)}`,
      {
        cause: error,
        advice: `Name a ServiceAccount of yours by --service-account NAMESPACE/NAME, of which you may make tokens (create serviceaccounts/token).`,
      },
    );
  }
};
