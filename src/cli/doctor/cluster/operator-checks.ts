import { since } from '../../kubectl/output.ts';
import { type Finding, of, ok, problem, warning } from '../finding.ts';
import type { ClusterFacts } from './facts.ts';

export const replicas = ({ deployment, elsewhere, namespace }: ClusterFacts): readonly Finding[] => {
  const id = 'operator-replicas';
  return of(deployment, id, 'the Deployment of the operator', (found) => {
    if (found === undefined) {
      const [other] = 'value' in elsewhere ? elsewhere.value : [];
      const what = `there is no Deployment adaptlet-operator in the namespace ${namespace}`;
      return other === undefined
        ? [problem(id, what, `helm install adaptlet charts/adaptlet -n ${namespace} --create-namespace`)]
        : [problem(id, `${what}, but in ${other}`, `look there: --namespace ${other}`)];
    }
    const wanted = found.spec.replicas ?? 1;
    const ready = found.status?.readyReplicas ?? 0;
    const look = `kubectl -n ${namespace} describe deployment adaptlet-operator; kubectl -n ${namespace} logs deployment/adaptlet-operator`;
    if (wanted === 0)
      return [
        problem(
          id,
          'it is scaled to 0 replicas',
          `kubectl -n ${namespace} scale deployment adaptlet-operator --replicas=2`,
        ),
      ];
    if (ready === 0) return [problem(id, `0 of ${wanted} replicas are ready`, look)];
    if (ready < wanted) return [warning(id, `${ready} of ${wanted} replicas are ready`, look)];
    return [ok(id, `${ready} of ${wanted} replicas are ready`)];
  });
};

export const leader = ({ lease, namespace, now }: ClusterFacts): readonly Finding[] => {
  const id = 'operator-leader';
  return of(lease, id, 'the Lease of the operator', (found) => {
    const look = `kubectl -n ${namespace} get pods -l app.kubernetes.io/component=operator; kubectl -n ${namespace} logs deployment/adaptlet-operator`;
    if (found === undefined) return [problem(id, 'no replica has ever led: there is no Lease', look)];
    const { holderIdentity = '', renewTime = '', leaseDurationSeconds = 0 } = found.spec;
    if (holderIdentity === '')
      return [problem(id, 'no replica leads: the last leader gave its Lease back', look)];
    const silentMs = now - Date.parse(renewTime);
    // The clocks of this machine and of the leader may differ; a Lease that is over for so long is no matter of clocks.
    if (!(silentMs < leaseDurationSeconds * 2000 + 5000))
      return [
        problem(
          id,
          `no replica leads: ${holderIdentity} was last heard of ${since(renewTime, now)} ago`,
          look,
        ),
      ];
    return [ok(id, `${holderIdentity} leads`)];
  });
};

export const service = ({ endpoints, namespace }: ClusterFacts): readonly Finding[] => {
  const id = 'operator-service';
  return of(endpoints, id, 'the endpoints of the operator', (slices) => {
    const all = slices.flatMap((slice) => slice.endpoints ?? []);
    const ready = all.filter(({ conditions }) => conditions?.ready !== false);
    if (ready.length > 0) return [ok(id, `${ready.length} replicas are behind the Service`)];
    const what = `the Service adaptlet-operator leads nowhere: ${all.length} endpoints, none ready`;
    return [
      problem(
        id,
        what,
        `kubectl -n ${namespace} get endpointslices -l kubernetes.io/service-name=adaptlet-operator`,
      ),
    ];
  });
};

export const disruption = ({ disruption: asked, namespace }: ClusterFacts): readonly Finding[] => {
  const id = 'operator-disruption';
  return of(asked, id, 'the PodDisruptionBudget', (found) => {
    const { disruptionsAllowed = 0, expectedPods = 0 } = found?.status ?? {};
    if (found === undefined) return [ok(id, 'no PodDisruptionBudget: a drain may take every replica')];
    if (disruptionsAllowed > 0)
      return [ok(id, `a drain may take ${disruptionsAllowed} of ${expectedPods} replicas`)];
    const fix = `A drain waits until every replica is ready: kubectl -n ${namespace} get pods -l app.kubernetes.io/component=operator`;
    return [warning(id, `a drain may take no replica now, of ${expectedPods}`, fix)];
  });
};
