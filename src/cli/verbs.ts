import type { ServiceError } from '@grpc/grpc-js';
import { Command } from 'commander';
import type { Adapter, AdminClient, Rollout } from '../gen/adaptlet/inference/v1/admin.ts';
import { type AdminOptions, callAdmin, withAdminOptions } from './admin-client.ts';
import { operatorCommands } from './trust-cluster.ts';

type Answer<T> = (error: ServiceError | null, value: T) => void;

const rolloutVerbs: readonly [
  string,
  string,
  (c: AdminClient, rollout: string, done: Answer<{ rollout?: Rollout | undefined }>) => unknown,
][] = [
  ['promote', 'end the present pause of a rollout', (c, rollout, done) => c.promote({ rollout }, done)],
  ['abort', 'end a rollout; stable serves', (c, rollout, done) => c.abort({ rollout }, done)],
  [
    'rollback',
    'break-glass: back to stable, or to the stable before, on this node at once',
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
  ['unpin', 'let a pinned adapter go again', (c, adapter, done) => c.pin({ adapter, pinned: false }, done)],
  [
    'evict',
    'take an adapter out of RAM once no request uses it',
    (c, adapter, done) => c.evict({ adapter }, done),
  ],
];

/** `adaptlet promote|abort|rollback|retry ROLLOUT`, `adaptlet preload|pin|unpin|evict ADAPTER`, and about the operator. */
export const verbCommands = (): Command[] => [
  ...rolloutVerbs.map(([verb, description, call]) =>
    withAdminOptions(new Command(verb))
      .description(description)
      .argument('<rollout>', 'name, or namespace/name')
      .action(async (name: string, options: AdminOptions) => {
        const { rollout } = await callAdmin<{ rollout?: Rollout | undefined }>(options, (client, done) =>
          call(client, name, done),
        );
        process.stdout.write(`${rollout?.key ?? name}: ${rollout?.phase ?? ''}, ${rollout?.message ?? ''}\n`);
      }),
  ),
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
