import { type Finding, named, of, ok, problem, warning } from '../finding.ts';
import type { ClusterFacts, ContainerStatus, Pod } from './facts.ts';

export const runtimeRollout = ({ daemonSets, namespace }: ClusterFacts): readonly Finding[] => {
  const id = 'runtime-rollout';
  return of(daemonSets, id, 'the DaemonSets of the runtime', (all) => {
    if (all.length === 0) return [ok(id, `no DaemonSet of a runtime in ${namespace}`)];
    const findings = all.flatMap(({ metadata, status }): Finding[] => {
      const { desiredNumberScheduled = 0, updatedNumberScheduled = 0, numberUnavailable = 0 } = status ?? {};
      const look = `kubectl -n ${namespace} rollout status daemonset ${metadata.name}; kubectl -n ${namespace} get pods -l app.kubernetes.io/component=runtime -o wide`;
      if (desiredNumberScheduled === 0)
        return [
          warning(
            id,
            `DaemonSet ${metadata.name} fits no node`,
            `kubectl get nodes --show-labels; runtime.nodeSelector and runtime.tolerations of the chart`,
          ),
        ];
      const old = desiredNumberScheduled - updatedNumberScheduled;
      return [
        ...(old > 0
          ? [
              warning(
                id,
                `${old} of ${desiredNumberScheduled} pods of DaemonSet ${metadata.name} are of an older version`,
                look,
              ),
            ]
          : []),
        ...(numberUnavailable > 0
          ? [
              warning(
                id,
                `${numberUnavailable} of ${desiredNumberScheduled} pods of DaemonSet ${metadata.name} are not ready`,
                look,
              ),
            ]
          : []),
      ];
    });
    return findings.length > 0
      ? findings
      : [ok(id, `${named(all.map(({ metadata }) => metadata.name))} is complete`)];
  });
};

const pull = new Set(['ErrImagePull', 'ImagePullBackOff', 'InvalidImageName', 'ErrImageNeverPull']);
const start = new Set(['CreateContainerConfigError', 'CreateContainerError', 'RunContainerError']);

export const pods = ({ pods: asked, namespace }: ClusterFacts): readonly Finding[] => {
  const id = 'pods';
  return of(asked, id, 'the pods', (all) => {
    const findings = all.flatMap((pod) => podFindings(pod, namespace));
    return findings.length > 0 ? findings : [ok(id, `${all.length} pods, none failing`)];
  });
};

const podFindings = ({ metadata, status }: Pod, namespace: string): Finding[] => {
  const id = 'pods';
  const name = `pod ${metadata.name}`;
  const events = `kubectl -n ${namespace} describe pod ${metadata.name}`;
  const unscheduled = status?.conditions?.find(
    ({ type, status: is, reason }) => type === 'PodScheduled' && is === 'False' && reason === 'Unschedulable',
  );
  if (unscheduled !== undefined)
    return [
      problem(
        id,
        `${name} fits no node: ${unscheduled.message ?? ''}`,
        `${events}; resources, nodeSelector and tolerations of the chart`,
      ),
    ];
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].flatMap(
    (container) => containerFinding(container, name, { namespace, pod: metadata.name, events }),
  );
};

const containerFinding = (
  { name: container, state, lastState, restartCount = 0 }: ContainerStatus,
  name: string,
  { namespace, pod, events }: { readonly namespace: string; readonly pod: string; readonly events: string },
): Finding[] => {
  const id = 'pods';
  const { reason = '', message = '' } = state?.waiting ?? {};
  const ended = state?.terminated ?? lastState?.terminated;
  if (pull.has(reason))
    return [
      problem(
        id,
        `${name} cannot pull its image: ${message || reason}`,
        'image.repository, image.tag and imagePullSecrets of the chart; or k3s ctr images import on the node',
      ),
    ];
  if (start.has(reason)) return [problem(id, `${name} cannot start: ${message || reason}`, events)];
  if (ended?.reason === 'OOMKilled')
    return [
      problem(
        id,
        `${name} ran out of memory ${restartCount} times`,
        'more runtime.resources.limits.memory, or less --kv-memory and runtime.adapters.memory',
      ),
    ];
  if (reason === 'CrashLoopBackOff')
    return [
      problem(
        id,
        `${name} ends again and again, with code ${ended?.exitCode ?? '?'}`,
        `kubectl -n ${namespace} logs ${pod} -c ${container} --previous`,
      ),
    ];
  // A volume that cannot be mounted is told by events only.
  if (reason === 'ContainerCreating' || reason === 'PodInitializing')
    return [
      warning(
        id,
        `${name} waits to be created`,
        `${events} (a folder of the base model that is not on the node is told there)`,
      ),
    ];
  return [];
};
