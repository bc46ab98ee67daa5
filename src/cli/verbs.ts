import type { ServiceError } from '@grpc/grpc-js';
import { Command } from 'commander';
import type {
  Adapter,
  AdminClient,
  ConfirmRemovalsResponse,
  Rollout,
  StatusResponse,
  TrustClusterResponse,
} from '../gen/adaptlet/inference/v1/admin.ts';
import { type AdminOptions, callAdmin, withAdminOptions } from './admin-client.ts';

type Answer<T> = (error: ServiceError | null, value: T) => void;

type VerbOptions = AdminOptions & { readonly full?: boolean };

const rolloutVerbs: readonly [
  string,
  string,
  (
    c: AdminClient,
    rollout: string,
    done: Answer<{ rollout?: Rollout | undefined }>,
    options: VerbOptions,
  ) => unknown,
][] = [
  [
    'promote',
    'end the present pause or analysis of a rollout, or continue it after a verdict that needs a person',
    (c, rollout, done, { full = false }) => c.promote({ rollout, full }, done),
  ],
  ['abort', 'end a rollout; stable serves', (c, rollout, done) => c.abort({ rollout }, done)],
  [
    'rollback',
    'break-glass: go back to stable, or to the former stable, on this node at once',
    (c, rollout, done) => c.rollback({ rollout }, done),
  ],
  ['retry', 'start an aborted or held rollout again', (c, rollout, done) => c.retry({ rollout }, done)],
];

const adapterVerbs: readonly [
  string,
  string,
  (c: AdminClient, adapter: string, done: Answer<{ adapter?: Adapter | undefined }>) => unknown,
][] = [
  [
    'preload',
    'bring an adapter into RAM and wait until it is validated',
    (c, adapter, done) => c.preload({ adapter }, done),
  ],
  ['pin', 'keep an adapter in RAM', (c, adapter, done) => c.pin({ adapter, pinned: true }, done)],
  ['unpin', 'remove the pin of an adapter', (c, adapter, done) => c.pin({ adapter, pinned: false }, done)],
  [
    'evict',
    'take an adapter out of RAM once no request uses it',
    (c, adapter, done) => c.evict({ adapter }, done),
  ],
];

/** What changes the spec, which lies elsewhere. Always an error, which says where: people are used to these words. */
const specVerbs: readonly { readonly verb: string; readonly description: string; readonly change: string }[] =
  [
    {
      verb: 'undo',
      description:
        'not done on a node: always an error, which says where spec.adapter is set back; rollback acts on this node at once',
      change: 'set spec.adapter back',
    },
    {
      verb: 'pause',
      description: 'not done on a node: always an error, which says where spec.paused is set',
      change: 'set spec.paused: true',
    },
    {
      verb: 'resume',
      description: 'not done on a node: always an error, which says where spec.paused is taken back',
      change: 'set spec.paused: false',
    },
  ];

/** Why this node does not do it, and who does. Pure. */
export const specIsElsewhere = (
  { verb, change }: { readonly verb: string; readonly change: string },
  name: string,
  { rollouts, manifests, operator }: Pick<StatusResponse, 'rollouts' | 'manifests' | 'operator'>,
): string => {
  const known = rollouts.find(({ key }) => key === name || key.endsWith(`/${name}`));
  if (known === undefined) return `there is no AdapterRollout ${name} here`;
  const [namespace, rollout] = known.key.split('/');
  if (operator !== undefined)
    return `${known.key}: the spec is in the cluster: use \`kubectl adaptlet ${verb} ${rollout} -n ${namespace}\``;
  const folder = manifests?.folder === '' ? undefined : manifests?.folder;
  const where = folder === undefined ? 'its manifest' : `its manifest in ${folder}`;
  return `${known.key}: this node only follows the spec: ${change} in ${where}`;
};

const refusal = (spec: (typeof specVerbs)[number]): Command =>
  withAdminOptions(new Command(spec.verb))
    .description(spec.description)
    .argument('<rollout>', 'name, or namespace/name')
    .action(async (name: string, options: AdminOptions) => {
      const status = await callAdmin<StatusResponse>(options, (client, done) => client.status({}, done));
      throw new Error(specIsElsewhere(spec, name, status));
    });

const rolloutCommand = (verb: string, description: string): Command => {
  const command = withAdminOptions(new Command(verb))
    .description(description)
    .argument('<rollout>', 'name, or namespace/name');
  return verb === 'promote'
    ? command.option('--full', 'skip all remaining steps instead of only the present one')
    : command;
};

/** `adaptlet promote|abort|rollback|retry|undo|pause|resume ROLLOUT`, `adaptlet preload|pin|unpin|evict ADAPTER`, and about the operator. */
export const verbCommands = (): Command[] => [
  ...rolloutVerbs.map(([verb, description, call]) =>
    rolloutCommand(verb, description).action(async (name: string, options: VerbOptions) => {
      const { rollout } = await callAdmin<{ rollout?: Rollout | undefined }>(options, (client, done) =>
        call(client, name, done, options),
      );
      process.stdout.write(`${rollout?.key ?? name}: ${rollout?.phase ?? ''}, ${rollout?.message ?? ''}\n`);
    }),
  ),
  ...specVerbs.map(refusal),
  ...adapterVerbs.map(([verb, description, call]) =>
    withAdminOptions(new Command(verb))
      .description(description)
      .argument('<adapter>', 'name, or namespace/name')
      .action(async (name: string, options: AdminOptions) => {
        const { adapter } = await callAdmin<{ adapter?: Adapter | undefined }>(options, (client, done) =>
          call(client, name, done),
        );
        process.stdout.write(
          `${adapter?.key ?? name}: ${adapter?.state ?? ''}${adapter?.pinned === true ? ', pinned' : ''}\n`,
        );
      }),
  ),
  ...operatorCommands(),
];

/** `adaptlet trust-cluster` and `adaptlet confirm-removals`: what only a person may say about an operator. */
const operatorCommands = (): Command[] => [
  withAdminOptions(new Command('trust-cluster'))
    .description('follow the present cluster of the operator instead of the former one')
    .action(async (options: AdminOptions) => {
      await callAdmin<TrustClusterResponse>(options, (client, done) => client.trustCluster({}, done));
      process.stdout.write('the cluster of the operator that answers next is followed\n');
    }),
  withAdminOptions(new Command('confirm-removals'))
    .description('allow removals now that are held back because they take away more than half of the plan')
    .action(async (options: AdminOptions) => {
      const { removed } = await callAdmin<ConfirmRemovalsResponse>(options, (client, done) =>
        client.confirmRemovals({}, done),
      );
      process.stdout.write(`${removed} resources were removed\n`);
    }),
];
