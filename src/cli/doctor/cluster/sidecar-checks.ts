import { hasSidecar, mirrorAnnotation } from '../../../operator/injection/pod.ts';
import { webhookName } from '../../../operator/injection/webhook-configuration.ts';
import { type Finding, named, of, ok, problem, warning } from '../finding.ts';
import type { AskingPod, ClusterFacts } from './facts.ts';

const enable = (namespace: string): string =>
  `helm upgrade adaptlet charts/adaptlet -n ${namespace} --reset-then-reuse-values --set injection.enabled=true`;

export const webhook = ({ webhook: asked, bundle, namespace }: ClusterFacts): readonly Finding[] => {
  const id = 'sidecar-webhook';
  const restart = `kubectl -n ${namespace} rollout restart deployment adaptlet-operator, which writes it anew`;
  return of(asked, id, 'the MutatingWebhookConfiguration', (found) => {
    if (found === undefined) return [ok(id, 'sidecars are off (injection.enabled)')];
    if ('error' in bundle) return of(bundle, id, 'what the operator is verified by', () => []);
    const text = bundle.value?.data?.['ca.crt'] ?? '';
    const told = (found.webhooks ?? []).map(({ clientConfig }) =>
      Buffer.from(clientConfig.caBundle ?? '', 'base64').toString('utf8'),
    );
    if (told.some((one) => one !== text)) {
      const what = told.includes('') ? 'has no caBundle' : 'has the caBundle of another authority';
      const effect = 'the API server trusts no operator, and pods get no sidecar';
      return [problem(id, `${webhookName} ${what}: ${effect}`, restart)];
    }
    return [ok(id, 'the API server asks the operator, and verifies it by its authority')];
  });
};

const hasEnded = ({ status, metadata }: AskingPod): boolean =>
  metadata.deletionTimestamp !== undefined || ['Succeeded', 'Failed'].includes(status?.phase ?? '');
const isMirror = ({ metadata }: AskingPod): boolean => metadata.annotations?.[mirrorAnnotation] !== undefined;

const nameOf = ({ metadata }: Pick<AskingPod, 'metadata'>): string =>
  `${metadata.namespace}/${metadata.name}`;

/** Sidecars that run and that no operator has. */
const unconnected = (pods: readonly AskingPod[], runtimes: ClusterFacts['runtimes']): readonly string[] => {
  if ('error' in runtimes) return [];
  const connected = new Set(
    runtimes.value
      .filter(({ status }) =>
        status?.conditions.some(({ type, status: is }) => type === 'Connected' && is === 'True'),
      )
      .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
  );
  const running = pods.filter((pod) => hasSidecar(pod) && pod.status?.phase === 'Running');
  return running.map(nameOf).filter((name) => !connected.has(name));
};

export const sidecars = (facts: ClusterFacts): readonly Finding[] => {
  const { askingPods, webhook: asked, namespace, runtimes } = facts;
  const id = 'sidecars';
  return of(askingPods, id, 'pods that ask for a sidecar', (all) => {
    const alive = all.filter((pod) => !hasEnded(pod) && !isMirror(pod));
    const without = alive.filter((pod) => !hasSidecar(pod));
    const alone = unconnected(alive, runtimes);
    if (without.length === 0 && alone.length > 0) {
      const [first = ''] = alone;
      const [there, name] = first.split('/');
      const look = `kubectl -n ${there} logs ${name} -c adaptlet-runtime; ConfigMap adaptlet-ca and NetworkPolicies of ${there}`;
      return [warning(id, `sidecars that are not connected to the operator: ${named(alone)}`, look)];
    }
    if (without.length === 0) return [ok(id, `${alive.length} pods ask for a sidecar and have it`)];
    const names = named(without.map(nameOf));
    const isOff = 'value' in asked && asked.value === undefined;
    const again = 'Create them again: kubectl rollout restart what owns them, or delete the pods.';
    return [
      problem(
        id,
        `${without.length} of ${alive.length} pods that ask for a sidecar have none: ${names}`,
        isOff ? `${enable(namespace)}. ${again}` : `They were created while no operator answered. ${again}`,
      ),
    ];
  });
};
