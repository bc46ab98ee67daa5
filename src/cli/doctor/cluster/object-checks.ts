import type { Condition } from '../../../api/condition.ts';
import { shortDigest } from '../../../api/names.ts';
import type { KubeMetadata } from '../../../kube/client/object.ts';
import { since } from '../../kubectl/output.ts';
import { type Finding, named, of, ok, problem, warning } from '../finding.ts';
import type { ClusterFacts } from './facts.ts';

/** Milliseconds after which something that is being deleted is stuck. */
const stuckMs = 5 * 60_000;

const keyOf = ({ namespace, name }: Pick<KubeMetadata, 'namespace' | 'name'>): string =>
  `${namespace ?? ''}/${name}`;
const conditionOf = (conditions: readonly Condition[] | undefined, type: string) =>
  conditions?.find((condition) => condition.type === type);

export const adapters = ({ adapters: asked }: ClusterFacts): readonly Finding[] => {
  const id = 'adapters';
  return of(asked, id, 'Adapters', (all) => {
    const findings = all.flatMap(({ metadata, object }): Finding[] => {
      const name = `Adapter ${keyOf(metadata)}`;
      const look = `kubectl -n ${metadata.namespace} describe ad ${metadata.name}`;
      if (object === undefined) return [problem(id, `${name} is not valid`, look)];
      const { conditions, failures, digest } = object.status ?? {};
      const bad = ['Accepted', 'Resolved', 'Compatible']
        .map((type) => conditionOf(conditions, type))
        .find((condition) => condition?.status === 'False' && condition.reason !== 'NoRuntime');
      if (bad !== undefined)
        return [
          problem(
            id,
            `${name}: ${bad.reason}: ${bad.message}`,
            `${look}; an Adapter never changes: apply a new one`,
          ),
        ];
      const [first] = failures ?? [];
      if (first === undefined) return [];
      const version = digest === undefined ? '' : ` (${shortDigest(digest)})`;
      const what = `${name}${version} failed on ${failures?.length ?? 0} runtimes, on ${first.runtime}: ${first.reason}: ${first.message}`;
      return [
        problem(
          id,
          what,
          `docs/reference/errors.md has ${first.reason}; then apply a new Adapter, or kubectl adaptlet undo ROLLOUT`,
        ),
      ];
    });
    return findings.length > 0 ? findings : [ok(id, `${all.length} Adapters, none failed`)];
  });
};

export const rollouts = ({ rollouts: asked }: ClusterFacts): readonly Finding[] => {
  const id = 'rollouts';
  return of(asked, id, 'AdapterRollouts', (all) => {
    const findings = all.flatMap(({ metadata, object }): Finding[] => {
      const name = `AdapterRollout ${keyOf(metadata)}`;
      const look = `kubectl adaptlet get rollout ${metadata.name} -n ${metadata.namespace}`;
      if (object === undefined)
        return [
          problem(
            id,
            `${name} is not valid`,
            `kubectl -n ${metadata.namespace} describe aro ${metadata.name}`,
          ),
        ];
      const { status } = object;
      if (status === undefined || status.observedGeneration < object.metadata.generation)
        return [warning(id, `${name}: the operator has not seen its last change`, 'see operator-leader')];
      if (status.phase === 'Degraded') return [problem(id, `${name} is Degraded: ${status.message}`, look)];
      const held = status.runtimes?.held ?? 0;
      return held > 0
        ? [
            warning(
              id,
              `${name} is held on ${held} runtimes`,
              `${look}; kubectl adaptlet retry ${metadata.name} -n ${metadata.namespace} tries again`,
            ),
          ]
        : [];
    });
    return findings.length > 0 ? findings : [ok(id, `${all.length} AdapterRollouts, none degraded or held`)];
  });
};

const isStuck = ({ deletionTimestamp }: KubeMetadata, now: number): boolean =>
  deletionTimestamp !== undefined && now - Date.parse(deletionTimestamp) > stuckMs;

export const deletions = ({ adapters: asked, namespaces, now }: ClusterFacts): readonly Finding[] => {
  const id = 'deletions';
  const ours = of(asked, id, 'Adapters that are being deleted', (all) =>
    all
      .filter(({ metadata }) => isStuck(metadata, now))
      .map(({ metadata, object }) => {
        const use = conditionOf(object?.status?.conditions, 'InUse');
        const age = since(metadata.deletionTimestamp ?? '', now);
        return use?.status === 'True'
          ? warning(
              id,
              `Adapter ${keyOf(metadata)} is being deleted for ${age} and still used: ${use.message}`,
              'point these rollouts elsewhere, or delete them',
            )
          : problem(
              id,
              `Adapter ${keyOf(metadata)} is being deleted for ${age}, and nobody uses it: its finalizer ${named(metadata.finalizers ?? [])} stays`,
              'an operator has to run to remove it: see operator-leader',
            );
      }),
  );
  const spaces = of(namespaces, id, 'namespaces that are being deleted', (all) =>
    all
      .filter(({ metadata, status }) => isStuck(metadata, now) && status?.phase === 'Terminating')
      .flatMap(({ metadata, status }) => {
        const why = status?.conditions?.find(
          ({ status: is, message = '' }) => is === 'True' && message.includes('adaptlet.io'),
        );
        return why === undefined
          ? []
          : [
              problem(
                id,
                `the namespace ${metadata.name} is stuck for ${since(metadata.deletionTimestamp ?? '', now)}: ${why.message}`,
                'an operator has to run to remove the finalizers: see operator-leader',
              ),
            ];
      }),
  );
  const findings = [...ours, ...spaces];
  return findings.length > 0 ? findings : [ok(id, 'nothing is stuck')];
};
