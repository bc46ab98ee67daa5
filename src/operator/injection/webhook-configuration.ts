import type { KubeApi } from '../../kube/client/api.ts';
import { type KubeMetadata, pathOf, type ResourceType } from '../../kube/client/object.ts';

/** Name of the object that the chart installs. */
export const webhookName = 'adaptlet-sidecar';

export const webhookType: ResourceType = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'MutatingWebhookConfiguration',
  plural: 'mutatingwebhookconfigurations',
  namespaced: false,
};

export type WebhookConfiguration = {
  readonly metadata: KubeMetadata;
  readonly webhooks?: readonly {
    readonly name: string;
    readonly clientConfig: { readonly caBundle?: string } & Record<string, unknown>;
  }[];
};

/**
 * Tells the API server by what it verifies the webhook; `bundle` is PEM. Nothing else of the object is touched. The
 * result: whether something had to be written.
 * @throws KUBE_NOT_FOUND, KUBE_CONFLICT and the others of the API server
 */
export const publishToApiServer = async (
  api: KubeApi,
  bundle: string,
  signal: AbortSignal,
): Promise<boolean> => {
  const path = pathOf(webhookType, undefined, webhookName);
  const found = await api.request<WebhookConfiguration>({ method: 'GET', path, signal });
  const caBundle = Buffer.from(bundle).toString('base64');
  const { webhooks = [] } = found;
  if (webhooks.every(({ clientConfig }) => clientConfig.caBundle === caBundle)) return false;
  const body = {
    ...found,
    webhooks: webhooks.map((webhook) => ({
      ...webhook,
      clientConfig: { ...webhook.clientConfig, caBundle },
    })),
  };
  await api.request({ method: 'PUT', path, body, signal });
  return true;
};
