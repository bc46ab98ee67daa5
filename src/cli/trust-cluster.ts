import { Command } from 'commander';
import type { ConfirmRemovalsResponse, TrustClusterResponse } from '../gen/adaptlet/inference/v1/admin.ts';
import { type AdminOptions, callAdmin, withAdminOptions } from './admin-client.ts';

/** `adaptlet trust-cluster` and `adaptlet confirm-removals`: what only a person may say about an operator. */
export const operatorCommands = (): Command[] => [
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
