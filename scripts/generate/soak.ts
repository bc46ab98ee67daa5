import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Report } from '../../test/fleet-soak/report.ts';
import { promises } from '../../test/fleet-soak/story.ts';
import { code, table } from './table.ts';

const root = join(import.meta.dirname, '../..');
const source = 'docs/reference/soak.json';

const number = (value: number): string => value.toLocaleString('en-US', { maximumFractionDigits: 1 });

const counted = (what: string, counts: Readonly<Record<string, number>>): readonly string[] => [
  ...table(
    [what, 'number'],
    Object.entries(counts).map(([name, count]) => [name, number(count)]),
  ),
  '',
];

const pageOf = (report: Report): string => {
  const { machine, fleet, growth, violations, newestAfterSeconds, notes = [] } = report;
  const broken = violations.map(({ at, breaks, what }) => [number(at), promises[breaks], what]);
  return [
    '# A soak of a fleet',
    '',
    `What happened in ${number(report.seconds / 60)} minutes in which everything broke that may break. This page is generated from`,
    `[soak.json](soak.json), which ${code(`npm run -s soak -- --minutes ${report.minutes} --seed ${report.seed} --report docs/reference/soak.json`)} wrote.`,
    '[test/fleet-soak](../../test/fleet-soak/README.md) says how it breaks things and how it judges.',
    '',
    `Seed ${report.seed}, begun ${report.startedAt}, commit ${code(report.commit)}. ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}.`,
    `It used ${number(report.cores)} cores on average; others used the machine at the same time. Times at which it stood still for seconds: ${report.stalls}.`,
    `A real API server and etcd, ${fleet['operators']} operators and ${fleet['realNodes']} nodes on the tiny model; ${fleet['hollows']} hollow runtimes of nodes, of which`,
    `some lie, and one sidecar in each of three namespaces; ${fleet['rollouts']} rollouts of two tenants, and a noisy one.`,
    '',
    '## What was promised',
    '',
    ...table(
      ['promise', 'times broken'],
      Object.entries(promises).map(([key, what]) => [
        what,
        number(report.violated[key as keyof typeof promises]),
      ]),
    ),
    '',
    ...(broken.length === 0 ? [] : [...table(['second', 'promise', 'what happened'], broken), '']),
    ...(notes.length === 0 ? [] : [...notes.map((note) => `- ${note}`), '']),
    newestAfterSeconds === undefined
      ? 'At the end not all runtimes had the newest plan in time.'
      : `At the end all runtimes had the newest plan ${number(newestAfterSeconds)} s after it was decided.`,
    '',
    '## What was done',
    '',
    ...counted('fault', report.faults),
    ...(report.lies === undefined ? [] : counted('false report, by what it is about', report.lies)),
    ...counted('by hand', report.byHand),
    ...counted('by the noisy tenant', report.noisy),
    '## What came of it',
    '',
    ...counted('statuses of rollouts', report.rollouts),
    ...counted('requests of clients', report.requests),
    ...counted('arm of an answer', report.arms),
    ...counted('judged answers', report.judged),
    ...counted('plans of runtimes', report.inForce),
    '## What grew',
    '',
    'Lines with the least squares through the last two thirds. What was killed meanwhile is not judged, and neither are the servers',
    'of Kubernetes and the soak itself, which keeps all that it saw.',
    '',
    ...table(
      ['process', 'measure', 'mean', 'most', 'in an hour', 'gained', 'may gain'],
      growth.map(({ what, measure, mean, most, perHour, gained, limit }) => [
        what,
        code(measure),
        ...[mean, most, perHour, gained].map(number),
        limit === undefined ? 'not judged' : number(limit),
      ]),
    ),
    '',
  ].join('\n');
};

/** A page about the soak whose report is saved. */
export const soakPage = async (): Promise<Map<string, string>> => {
  const report = JSON.parse(await readFile(join(root, source), 'utf8')) as Report;
  return new Map([['docs/reference/soak.md', pageOf(report)]]);
};
