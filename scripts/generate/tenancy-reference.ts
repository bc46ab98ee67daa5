import { kindOf, kinds, type ProbeKind } from '../../test/conformance/tenancy/probe.ts';
import { allProbes } from '../../test/conformance/tenancy/probes/all.ts';
import { code, table } from './table.ts';

const titles: Readonly<Record<ProbeKind, string>> = {
  reach: 'Reach another namespace, or get in',
  read: 'Read what another namespace has',
  write: 'Change it, or ask for more than is granted',
  guess: 'Guess what is there',
  time: 'Learn from what was computed for another',
  starve: 'Take what others need',
  fill: 'Fill memory and disk',
  lie: 'Be somebody else',
  egress: 'Have the operator or a node ask for it',
};

/** docs/reference/tenancy.md: what was tried by one tenant against another, where, and what it got. */
export const tenancyReference = (): Promise<Map<string, string>> => {
  const count = (place: 'node' | 'lab') => allProbes.filter(({ places }) => places.includes(place)).length;
  const text = [
    '# What a tenant cannot do',
    '',
    `${allProbes.length} probes, which the tests try: ${count('node')} on a node that follows a folder`,
    '(*node*: [test/conformance/tenancy](../../test/conformance/tenancy)), and ' +
      `${count('lab')} on a node of a Kubernetes with the operator and the`,
    'chart (*lab*: [test/e2e/lab](../../test/e2e/lab)). The attacker is the namespace team-b with every credential that its',
    'AdapterPolicy has, in the lab also an editor of the namespace and a pod in it; the victim is team-a on the same node, whose',
    'adapter is resident and pinned. None succeeds. What runtimes, registries, metric servers and artifacts may try is in',
    '[Security](../explanation/security.md). Generated from the probes.',
    '',
    ...kinds.flatMap((kind) => [
      `## ${titles[kind]}`,
      '',
      ...table(
        ['id', 'team-b', 'gets', 'tried on'],
        allProbes
          .filter(({ id }) => kindOf(id) === kind)
          .map(({ id, tries, expected, places }) => [code(id), tries, expected, places.join(', ')]),
      ),
      '',
    ]),
  ];
  return Promise.resolve(new Map([['docs/reference/tenancy.md', text.join('\n')]]));
};
