import { Command, Option } from 'commander';
import {
  type Metric,
  type Operator,
  type Rollout,
  StatusResponse,
} from '../gen/adaptlet/inference/v1/admin.ts';
import { kvText } from '../runtime/admin/kv-text.ts';
import { abReport, type Compared } from './ab-report.ts';
import { type AdminOptions, callAdmin, withAdminOptions } from './admin-client.ts';
import { mirrorText, takenText, whereOf } from './rollout-text.ts';
import { table } from './table.ts';

const mebibytes = (bytes: bigint): string => `${(Number(bytes) / 2 ** 20).toFixed(1)} MiB`;
const short = (digest: string): string => digest.replace('sha256:', '').slice(0, 12);

const seconds = (ms: bigint): string => `${Math.ceil(Number(ms) / 1000)} s`;

const operatorProblems = (operator: Operator | undefined): string[] => {
  if (operator === undefined) return [];
  const { address, state, since, lastError, refused, removalsHeld, notSaved } = operator;
  return [
    ...(state === 'connected' || state === 'none'
      ? []
      : [
          `operator ${address} is not connected since ${since}: ${lastError === '' ? state : lastError.trim()}`,
        ]),
    ...refused.map((r) => `${r.key} is refused, what it was before stays in force: ${r.reason}`),
    ...(removalsHeld === undefined
      ? []
      : [
          `${removalsHeld.count} removals are held back for ${seconds(removalsHeld.remainingMs)}: adaptlet confirm-removals lets them happen now`,
        ]),
    ...(notSaved === '' ? [] : [`the plan in force is not on the disk: ${notSaved}`]),
  ];
};

/** What the plan comes from, one line. */
const sourceLine = ({ manifests, operator }: StatusResponse): string => {
  if (operator === undefined)
    return `manifests ${manifests?.folder === '' ? '(none)' : manifests?.folder}: ${manifests?.state}`;
  const { address, state, since, replica, clusterUid, revision } = operator;
  const where = address === '' ? '(none)' : address;
  const at = replica === '' ? '' : ` to ${replica}`;
  const cluster = clusterUid === '' ? 'no cluster yet' : `cluster ${clusterUid} at ${revision}`;
  return `operator ${where}: ${state}${at} since ${since}, ${cluster}`;
};

/** Where the base model comes from, and how far it is. A runtime of an older version does not tell. */
const modelLines = (model: StatusResponse['model']): string[] => {
  if (model === undefined) return [];
  const { source, state, manifestDigest, message } = model;
  const manifest = manifestDigest === '' ? '' : `, manifest ${manifestDigest}`;
  return [`model ${source}: ${message === '' ? state : message}${manifest}`];
};

/** Which provider runs how much of the graph, where the CPU does not do all. */
const operatorLines = ({ operators }: StatusResponse): string[] => {
  const parts = Object.entries(operators).map(([provider, count]) => `${count} on ${provider}`);
  return parts.length === 0 ? [] : [`operators ${parts.join(', ')}`];
};

/** How adapters come, once the base model was loaded and takes them. */
const loraLines = ({ baseDigest, loraOperator, model }: StatusResponse): string[] => {
  if (baseDigest === '' || model?.state !== 'Ready') return [];
  return loraOperator === ''
    ? ['adapters in the portable way: float32 in memory, one adapter a step']
    : [`adapters by the native operator (${loraOperator})`];
};

/** What the base model may not do. It stays so: nothing is wrong with the node. */
const limitLines = ({ limits }: StatusResponse): string[] => limits.map((limit) => `limited: ${limit}`);

/** What is wrong, one line each; empty when all is well. */
export const problemsOf = (s: StatusResponse): string[] => [
  ...(s.engine === 'ready' ? [] : [s.model?.message || `the engine is ${s.engine}`]),
  ...(s.memoryPressure?.phase === 'refusing' ? ['requests are refused for lack of memory'] : []),
  ...s.refusedProviders.map((r) => `the execution provider ${r.provider} is not used: ${r.reason}`),
  ...(s.manifests?.problems ?? []).map((p) => `${p.file}:${p.line}: ${p.reason}`),
  ...operatorProblems(s.operator),
  ...s.adapters
    .filter((a) => a.state === 'Failed')
    .map((a) => `adapter ${a.key} is Failed: ${a.reason}: ${a.message}`),
  ...s.rollouts
    .filter((r) => r.phase === 'Degraded')
    .map((r) => `rollout ${r.key} is Degraded: ${r.message}`),
  ...s.routes.filter((r) => !r.accepted).map((r) => `route ${r.key} is not accepted: ${r.message}`),
];

const placeOf = ({ step }: Metric): string => whereOf(step === 0 ? {} : { step: step - 1 });

const comparedOf = ({ name, phase, value, bound, message, stable, canary }: Metric): Compared => ({
  name,
  phase,
  message,
  ...(value === undefined ? {} : { value }),
  ...(bound === undefined ? {} : { bound }),
  ...(stable === undefined && canary === undefined
    ? {}
    : { variants: { ...(stable && { stable }), ...(canary && { canary }) } }),
});

/** What mirroring found, one line for each rollout that mirrors or has. */
const mirrorLines = (rollouts: readonly Rollout[]): string[] => {
  const lines = rollouts.flatMap(({ key, mirrored }) => {
    if (mirrored === undefined) return [];
    const { percentage, equal, similarity, latencyRatio } = mirrored;
    const [requests, failed] = [Number(mirrored.requests), Number(mirrored.failed)];
    const [dropped, compared] = [Number(mirrored.dropped), Number(mirrored.compared)];
    const text = mirrorText({ requests, failed, dropped, compared, equal, similarity, latencyRatio });
    return [`rollout ${key} mirrors ${percentage} %: ${text}`];
  });
  return lines.length === 0 ? [] : ['', ...lines];
};

/** What was measured of canaries, and the reports of A/B tests. Empty when nothing was. */
const analysisLines = (rollouts: readonly Rollout[]): string[] => {
  const rows = rollouts.flatMap(({ key, metrics }) =>
    metrics.map((metric) => [
      key,
      metric.name,
      placeOf(metric),
      metric.phase,
      takenText(metric),
      metric.message,
    ]),
  );
  if (rows.length === 0) return [];
  const reports = rollouts.flatMap(({ stable, canary, metrics }) =>
    metrics.flatMap((metric) => abReport(comparedOf(metric), { stable, canary })),
  );
  return ['', table(['ROLLOUT', 'METRIC', 'WHERE', 'PHASE', 'TAKEN', 'MESSAGE'], rows).trimEnd(), ...reports];
};

/** What more memory would do, one line for each budget. */
const shortageLines = ({ shortages }: StatusResponse): string[] =>
  shortages.map(
    ({ flag, effect, neededBytes, budgetBytes }) =>
      `limited by ${flag}: ${effect}; up to ${mebibytes(neededBytes)} were wanted at a time, it is ${mebibytes(budgetBytes)}`,
  );

/** What memory there is, where budgets are below what was given or something happened. A runtime of an older version does not tell. */
const pressureLines = ({ memoryPressure: p }: StatusResponse): string[] => {
  if (p === undefined || (p.phase === 'ample' && p.shrinks + p.refused + p.kills === 0n)) return [];
  const budgets = `adapters may take ${mebibytes(p.adapterBudgetBytes)} of ${mebibytes(p.adapterFullBytes)}, keys and values ${mebibytes(p.kvBudgetBytes)} of ${mebibytes(p.kvFullBytes)}`;
  const since = `since the start: shrunk ${p.shrinks} times, ${p.refused} requests refused, ${p.kills} processes killed by the kernel`;
  return [
    `memory is ${p.phase}: ${mebibytes(p.usedBytes)} of ${mebibytes(p.limitBytes)} are in use (${p.level}); ${budgets}; ${since}`,
  ];
};

/** What the node has room for. */
const roomLines = ({ keysAndValues: kv }: StatusResponse): string[] =>
  kv === undefined
    ? []
    : [kvText({ ...kv, bytesPerToken: Number(kv.bytesPerToken), budgetBytes: Number(kv.budgetBytes) })];

/** The status as a person reads it. */
export const renderStatus = (s: StatusResponse): string => {
  const parts = [
    `${s.baseModel} ${short(s.baseDigest)}  engine ${s.engine} (${s.executionProvider})  up ${Math.round(s.uptimeMs / 1000)} s  version ${s.version}`,
    ...modelLines(s.model),
    ...operatorLines(s),
    ...loraLines(s),
    ...limitLines(s),
    ...roomLines(s),
    `RAM ${mebibytes(s.memory?.usedBytes ?? 0n)} of ${mebibytes(s.memory?.budgetBytes ?? 0n)}  disk ${mebibytes(s.disk?.usedBytes ?? 0n)} of ${mebibytes(s.disk?.budgetBytes ?? 0n)}`,
    ...pressureLines(s),
    ...shortageLines(s),
    sourceLine(s),
  ];
  if (s.adapters.length > 0) {
    const rows = s.adapters.map((a) => [
      a.key,
      short(a.digest),
      a.state,
      mebibytes(a.residentBytes),
      String(a.references),
      String(a.rank),
      a.pinned ? 'pinned' : '',
      a.reason,
    ]);
    parts.push(
      '',
      table(['ADAPTER', 'DIGEST', 'STATE', 'RAM', 'IN USE', 'RANK', '', 'REASON'], rows).trimEnd(),
    );
  }
  if (s.rollouts.length > 0) {
    const rows = s.rollouts.map((r) => [
      r.key,
      r.phase,
      r.stable,
      r.canary,
      r.step,
      `${r.effectiveWeight}% of ${r.weight}%`,
      `${r.servedStable} stable, ${r.servedCanary} canary`,
      r.message,
    ]);
    parts.push(
      '',
      table(['ROLLOUT', 'PHASE', 'STABLE', 'CANARY', 'STEP', 'WEIGHT', 'SERVED', 'MESSAGE'], rows).trimEnd(),
    );
  }
  parts.push(...mirrorLines(s.rollouts), ...analysisLines(s.rollouts));
  if (s.routes.length > 0) {
    parts.push(
      '',
      table(
        ['ROUTE', 'MODEL', 'ACCEPTED', 'MESSAGE'],
        s.routes.map((r) => [r.key, r.model, String(r.accepted), r.message]),
      ).trimEnd(),
    );
  }
  const problems = problemsOf(s);
  if (problems.length > 0) parts.push('', 'Problems:', ...problems.map((p) => `  ${p}`));
  return `${parts.join('\n')}\n`;
};

/** `adaptlet status`. */
export const statusCommand = (): Command =>
  withAdminOptions(new Command('status'))
    .description('what a running node is, has and serves')
    .addOption(
      new Option('-o, --output <form>', 'how to print it').choices(['table', 'json']).default('table'),
    )
    .option('--check', 'exit with 1 when something is wrong')
    .action(async (options: AdminOptions & { output: string; check?: boolean }) => {
      const status = await callAdmin<StatusResponse>(options, (client, done) => client.status({}, done));
      const json = (): string => `${JSON.stringify(StatusResponse.toJSON(status), undefined, 2)}\n`;
      process.stdout.write(options.output === 'json' ? json() : renderStatus(status));
      if (options.check === true && problemsOf(status).length > 0) process.exitCode = 1;
    });
