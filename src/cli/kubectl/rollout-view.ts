import { stepOf } from '../../api/columns.ts';
import { objectKey, shortDigest } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { BoundAdapter } from '../../api/rollout-status.ts';
import { selects } from '../../api/selector.ts';
import type { RuntimeObject } from '../../operator/objects/objects.ts';
import { restraintOf } from '../../operator/objects/restraint.ts';
import { assignmentOf } from '../../rollout/groups/assignment.ts';
import { strategyNameOf } from '../../rollout/strategy.ts';
import { inColumns } from '../columns.ts';
import { mirrorText } from '../rollout-text.ts';
import { analysisView } from './analysis-view.ts';
import { groupsView } from './groups-view.ts';
import { icon, since, toneOfPhase } from './output.ts';

const named = ({ adapter, digest }: BoundAdapter): string => `${adapter}@${shortDigest(digest)}`;

const line = (label: string, text: string): string =>
  `${(label === '' ? '' : `${label}:`).padEnd(12)}${text}`;

const stepText = ({ status }: RolloutObject): string => {
  const step = status?.step;
  return step === undefined ? '' : `, step ${stepOf(step)}`;
};

const weightText = ({ status }: RolloutObject): string => {
  if (status?.canary === undefined) return '';
  const { canary, mirror, observedCanary } = status.weights;
  const observed = observedCanary === undefined ? '' : `, observed ${observedCanary} %`;
  return `, weight ${canary} %${observed}${mirror === undefined ? '' : `, mirrored ${mirror} %`}`;
};

const runtimesText = (runtimes: NonNullable<RolloutObject['status']>['runtimes']): string =>
  runtimes === undefined
    ? 'nothing is reported yet'
    : [
        `${runtimes.desired} desired, ${runtimes.updated} updated, ${runtimes.ready} ready, ${runtimes.failed} failed, ${runtimes.held} held, ${runtimes.offline} offline`,
        ...(runtimes.cordoned === undefined ? [] : [`${runtimes.cordoned} cordoned`]),
        ...(runtimes.notReady === undefined ? [] : [`${runtimes.notReady} not ready`]),
        ...(runtimes.setAside === undefined ? [] : [`${runtimes.setAside} set aside`]),
      ].join(', ');

const failuresText = (failures: NonNullable<NonNullable<RolloutObject['status']>['failures']>): string[] =>
  failures.map(({ runtime, reason, message }, i) =>
    line(i === 0 ? 'Failures' : '', `${runtime}: ${reason}, ${message}`),
  );

const header = (rollout: RolloutObject): string[] => {
  const { metadata, spec, status } = rollout;
  const phase = status?.phase ?? 'Progressing';
  return [
    line('Name', metadata.name),
    line('Namespace', metadata.namespace),
    line('Status', `${icon(toneOfPhase(phase))} ${phase}`),
    line('Message', status?.message ?? 'no decision was made yet: does an operator run?'),
    line('Strategy', `${strategyNameOf(spec.strategy)}${stepText(rollout)}${weightText(rollout)}`),
    ...(spec.paused ? [line('Paused', 'by spec.paused')] : []),
    ...(status?.mirror === undefined ? [] : [line('Mirror', mirrorText(status.mirror))]),
    line('Runtimes', runtimesText(status?.runtimes)),
    ...failuresText(status?.failures ?? []),
  ];
};

type Row = { readonly depth: number; readonly text: string; readonly state: string; readonly info: string };

const isConnected = ({ status }: RuntimeObject): boolean =>
  status?.conditions.some(({ type, status: holds }) => type === 'Connected' && holds === 'True') ?? false;

type Here = NonNullable<NonNullable<RuntimeObject['status']>['rollouts']>[number];

/** A weight alone is not written where a runtime follows the rollout. One that was just cordoned or held may not any more. */
const weightAt = (
  { follows, weight }: Here,
  runtime: RuntimeObject,
  { metadata: { uid }, status }: RolloutObject,
): number => {
  const { namespace, name, labels } = runtime.metadata;
  return follows && status !== undefined && restraintOf(runtime) === undefined
    ? assignmentOf(status, uid, { key: objectKey(namespace, name), labels }).weight
    : weight;
};

const runtimeRow = (runtime: RuntimeObject, rollout: RolloutObject, now: number): Row => {
  const { metadata, status } = runtime;
  const key = `${rollout.metadata.namespace}/${rollout.metadata.name}`;
  if (!isConnected(runtime)) {
    const gone = status?.disconnectedAt;
    const state = `offline${gone === undefined ? '' : ` ${since(gone, now)}`}`;
    return { depth: 2, text: `${icon('quiet')} ${metadata.name}`, state, info: '' };
  }
  const { adapter } = rollout.status?.canary ?? {};
  const here = status?.rollouts?.find((r) => r.rollout === key && r.adapter === adapter);
  const held = status?.heldRollouts.includes(key) ?? false;
  const state = here?.state ?? 'not reported yet';
  const tone = held || state === 'Failed' ? 'bad' : state === 'Resident' ? 'good' : 'waiting';
  const info = [
    ...(held ? ['held'] : []),
    ...(here === undefined ? [] : [`${weightAt(here, runtime, rollout)} %`]),
  ].join(', ');
  return { depth: 2, text: `${icon(tone)} ${metadata.name}`, state, info };
};

/** Runtimes of pods are for rollouts of their namespace, while they are connected. */
const applies = (runtime: RuntimeObject, { metadata, spec }: RolloutObject): boolean => {
  const { namespace, labels } = runtime.metadata;
  const isOfPod = runtime.status?.kind !== 'Node';
  if (isOfPod && (namespace !== metadata.namespace || !isConnected(runtime))) return false;
  return selects(spec.runtimeSelector, labels);
};

const treeRows = (rollout: RolloutObject, runtimes: readonly RuntimeObject[], now: number): Row[] => {
  const { status } = rollout;
  const applying = runtimes.filter((runtime) => applies(runtime, rollout));
  const arms: Row[] = [];
  if (status?.canary !== undefined) {
    const info = status.abort === undefined ? `canary, ${status.weights.canary} %` : 'given up';
    const tone = status.abort === undefined ? 'waiting' : 'bad';
    arms.push({ depth: 1, text: `${icon(tone)} ${named(status.canary)}`, state: '', info });
    arms.push(...applying.map((runtime) => runtimeRow(runtime, rollout, now)));
  }
  if (status?.stable !== undefined) {
    const info = `stable, ${status.weights.stable} %`;
    arms.push({ depth: 1, text: `${icon('good')} ${named(status.stable)}`, state: '', info });
    if (status.canary === undefined) {
      const offline = applying.filter((runtime) => !isConnected(runtime));
      arms.push(...offline.map((runtime) => runtimeRow(runtime, rollout, now)));
    }
  }
  for (const [index, former] of (status?.history ?? []).entries())
    arms.push({
      depth: 1,
      text: `${icon('quiet')} ${named(former)}`,
      state: '',
      info: `former ${index + 1}`,
    });
  const phase = status?.phase ?? 'Progressing';
  const root = {
    depth: 0,
    text: `${icon(toneOfPhase(phase))} ${rollout.metadata.name}`,
    state: phase,
    info: '',
  };
  return [root, ...arms];
};

/** Draws the branches: a row is the last of its parent when no later row of its depth comes before a shallower one. */
const branches = (rows: readonly Row[]): string[] =>
  rows.map(({ depth, text }, index) => {
    const goesOn = (level: number): boolean => {
      const next = rows.slice(index + 1).find((row) => row.depth <= level);
      return next?.depth === level;
    };
    const trunk = Array.from({ length: Math.max(0, depth - 1) }, (_, i) => (goesOn(i + 1) ? '│  ' : '   '));
    return `${trunk.join('')}${depth === 0 ? '' : goesOn(depth) ? '├─ ' : '└─ '}${text}`;
  });

/**
 * What `kubectl adaptlet get rollout` shows: where the rollout stands, which runtime is how far, and what was measured.
 * `width`: columns of the terminal; absent: as many as it takes.
 */
export const rolloutView = (
  rollout: RolloutObject,
  runtimes: readonly RuntimeObject[],
  now: number,
  width?: number,
): string => {
  const rows = treeRows(rollout, runtimes, now);
  const names = branches(rows);
  const tree = inColumns([
    ['NAME', 'STATUS', 'INFO'],
    ...rows.map(({ state, info }, i) => [names[i] ?? '', state, info]),
  ]);
  const lines = [...header(rollout), ...groupsView(rollout), '', ...tree, ...analysisView(rollout, width)];
  return `${lines.join('\n')}\n`;
};
