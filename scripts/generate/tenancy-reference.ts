import { kinds, type ProbeKind } from '../../test/conformance/tenancy/probe.ts';
import { probes } from '../../test/conformance/tenancy/probes/all.ts';
import { table } from './table.ts';

const titles: Readonly<Record<ProbeKind, string>> = {
  reach: 'Reach another namespace, or get in',
  read: 'Read what another namespace has',
  write: 'Change it, or ask for more than is granted',
  guess: 'Guess what is there',
  time: 'Learn from what was computed for another',
  starve: 'Take what others need',
  fill: 'Fill memory and disk',
};

/** docs/reference/tenancy.md: what was tried by one tenant of a node against another, and what it got. */
export const tenancyReference = (): Promise<Map<string, string>> => {
  const text = [
    '# What a tenant cannot do',
    '',
    `${probes.length} probes, each tried on a real node by the tests ([test/conformance/tenancy](../../test/conformance/tenancy)). The`,
    'attacker is the namespace team-b with every credential that its AdapterPolicy has; the victim is team-a on the same',
    'node, whose adapter is resident and pinned. None succeeds. What runtimes, registries, metric servers and artifacts may',
    'try is in [Security](../explanation/security.md). Generated from the probes.',
    '',
    ...kinds.flatMap((kind) => [
      `## ${titles[kind]}`,
      '',
      ...table(
        ['team-b', 'gets'],
        probes.filter((probe) => probe.kind === kind).map(({ tries, expected }) => [tries, expected]),
      ),
      '',
    ]),
  ];
  return Promise.resolve(new Map([['docs/reference/tenancy.md', text.join('\n')]]));
};
