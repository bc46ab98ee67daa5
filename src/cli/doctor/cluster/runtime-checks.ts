import type { RuntimeObject } from '../../../operator/objects/objects.ts';
import { since } from '../../kubectl/output.ts';
import { type Finding, named, of, ok, problem, warning } from '../finding.ts';
import type { ClusterFacts } from './facts.ts';

/** Share of a budget from which on it is nearly full. */
const nearlyFull = 0.9;

const nameOf = ({ metadata }: RuntimeObject): string => `${metadata.namespace}/${metadata.name}`;
const conditionOf = ({ status }: RuntimeObject, type: string) =>
  status?.conditions.find((condition) => condition.type === type);
const isConnected = (runtime: RuntimeObject): boolean => conditionOf(runtime, 'Connected')?.status === 'True';

export const connected = ({ runtimes, namespace, now }: ClusterFacts): readonly Finding[] => {
  const id = 'runtimes-connected';
  return of(runtimes, id, 'AdapterRuntimes', (all) => {
    const look = `on the node: adaptlet doctor --node; kubectl -n ${namespace} logs -l app.kubernetes.io/component=runtime`;
    if (all.length === 0) return [problem(id, 'no runtime has ever connected', look)];
    // A pod that ended stays known until somebody removes it.
    const away = all.filter((runtime) => runtime.status?.kind !== 'Pod' && !isConnected(runtime));
    const present = all.filter(isConnected).length;
    if (away.length === 0) return [ok(id, `${present} of ${present} runtimes are connected`)];
    const names = away.map((runtime) => {
      const gone = runtime.status?.disconnectedAt;
      return `${nameOf(runtime)}${gone === undefined ? '' : ` (last seen ${since(gone, now)} ago)`}`;
    });
    const what = `${away.length} of ${all.length} runtimes are not connected: ${named(names)}`;
    return [away.length === all.length ? problem(id, what, look) : warning(id, what, look)];
  });
};

export const ready = ({ runtimes }: ClusterFacts): readonly Finding[] => {
  const id = 'runtimes-ready';
  return of(runtimes, id, 'AdapterRuntimes', (all) => {
    const findings = all.filter(isConnected).flatMap((runtime): Finding[] => {
      const [name, readiness, held] = [
        nameOf(runtime),
        conditionOf(runtime, 'Ready'),
        conditionOf(runtime, 'RemovalsHeld'),
      ];
      const refused = runtime.status?.refused ?? [];
      return [
        ...(readiness?.status === 'False' && readiness.reason === 'NotServing'
          ? [
              problem(
                id,
                `${name} cannot answer requests: ${readiness.message}`,
                'on the node: adaptlet status',
              ),
            ]
          : []),
        ...refused.map(({ resource, reason }) =>
          problem(
            id,
            `${name} refuses ${resource}: ${reason}`,
            `correct ${resource}; its former version goes on there`,
          ),
        ),
        ...(held?.status === 'True'
          ? [
              warning(
                id,
                `${name} holds removals back: ${held.message}`,
                'put the objects back, or on the node: adaptlet confirm-removals',
              ),
            ]
          : []),
      ];
    });
    return findings.length > 0
      ? findings
      : [ok(id, `${all.filter(isConnected).length} connected runtimes answer and refuse nothing`)];
  });
};

export const baseModel = ({ runtimes }: ClusterFacts): readonly Finding[] => {
  const id = 'base-model';
  return of(runtimes, id, 'AdapterRuntimes', (all) => {
    const byName = Map.groupBy(all, ({ status }) => status?.baseModel.name ?? '');
    byName.delete('');
    const findings = [...byName].flatMap(([name, group]): Finding[] => {
      const builds = Map.groupBy(group, ({ status }) => status?.baseModel.digest ?? '');
      builds.delete('');
      if (builds.size < 2) return [];
      const parts = [...builds].map(
        ([digest, those]) =>
          `${digest.replace('sha256:', '').slice(0, 12)} on ${named(those.map(nameOf), 3)}`,
      );
      const fix = `Copy the same folder to every node, and restart the runtimes there; or list both in spec.baseModelDigests of the Adapters that fit both`;
      return [problem(id, `${name} has ${builds.size} builds: ${parts.join('; ')}`, fix)];
    });
    return findings.length > 0 ? findings : [ok(id, [...byName.keys()].join(', ') || 'no runtime has one')];
  });
};

export const executionProvider = ({ runtimes }: ClusterFacts): readonly Finding[] => {
  const id = 'execution-provider';
  return of(runtimes, id, 'AdapterRuntimes', (all) => {
    const fallen = all.filter((runtime) => conditionOf(runtime, 'ProviderReady')?.status === 'False');
    const byReason = Map.groupBy(fallen, (runtime) => conditionOf(runtime, 'ProviderReady')?.message ?? '');
    const fix =
      'docs/reference/execution-providers.md says what each needs; on the node: adaptlet doctor --node';
    const findings = [...byReason].map(([reason, those]) =>
      warning(id, `${named(those.map(nameOf))}: ${reason}`, fix),
    );
    const used = [...new Set(all.flatMap(({ status }) => status?.executionProvider ?? []))];
    return findings.length > 0 ? findings : [ok(id, used.join(', ') || 'no runtime has reported one')];
  });
};

const shareOf = ({
  usedBytes,
  budgetBytes,
}: {
  readonly usedBytes: number;
  readonly budgetBytes: number;
}): number => (budgetBytes === 0 ? 0 : usedBytes / budgetBytes);

export const budgets = ({ runtimes }: ClusterFacts): readonly Finding[] => {
  const id = 'budgets';
  return of(runtimes, id, 'AdapterRuntimes', (all) => {
    const full = (kind: 'memory' | 'disk') =>
      all.flatMap((runtime) => {
        const part = runtime.status === undefined ? 0 : shareOf(runtime.status[kind]);
        return part >= nearlyFull ? [`${nameOf(runtime)} (${Math.round(part * 100)} %)`] : [];
      });
    const [memory, disk] = [full('memory'), full('disk')];
    const findings = [
      ...(memory.length > 0
        ? [
            warning(
              id,
              `RAM for adapters is nearly full on ${named(memory)}`,
              'runtime.adapters.memory of the chart (--adapter-memory); else adapters make way for each other',
            ),
          ]
        : []),
      ...(disk.length > 0
        ? [
            warning(
              id,
              `disk for adapters is nearly full on ${named(disk)}`,
              'runtime.adapters.disk of the chart (--adapter-disk); else adapters are fetched again and again',
            ),
          ]
        : []),
    ];
    return findings.length > 0 ? findings : [ok(id, 'every runtime has room for adapters')];
  });
};
