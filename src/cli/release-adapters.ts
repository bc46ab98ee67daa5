import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import { parseDuration } from '../api/duration.ts';
import { connectKube } from '../kube/client/client.ts';
import { releaseAdapters } from '../operator/release-adapters.ts';
import { variableOf } from '../settings/settings.ts';
import { systemClock } from '../time/clock.ts';
import { openLog } from './log.ts';

type Flags = { readonly namespace: string; readonly timeout: string; readonly kubeconfig?: string };

/** `adaptlet release-adapters`: what the Helm chart runs before an uninstall. */
export const releaseAdaptersCommand = (): Command =>
  new Command('release-adapters')
    .description(
      'stop the operator for good and take its finalizer off every Adapter, so that they and their namespaces can be deleted',
    )
    .addOption(
      new Option('-n, --namespace <name>', 'namespace of the operator')
        .env(variableOf('namespace'))
        .default('adaptlet-system'),
    )
    .option(
      '--kubeconfig <file>',
      'a kubeconfig; default: the ServiceAccount of the pod, else ~/.kube/config',
    )
    .option('--timeout <duration>', 'how long it may take', '2m')
    .action(async ({ namespace, timeout, kubeconfig }: Flags) => {
      const { logger } = openLog('warn');
      const late = new AbortController();
      const cancel = systemClock.after(parseDuration(timeout), () => {
        late.abort(new Error(`not done within ${timeout}`));
      });
      const api = connectKube({
        ...(kubeconfig === undefined ? {} : { kubeconfig }),
        clock: systemClock,
        logger,
      });
      try {
        const count = await releaseAdapters({
          api,
          namespace,
          identity: `release-adapters_${hostname()}_${process.pid}`,
          clock: systemClock,
          random: Math.random,
          logger,
          signal: late.signal,
        });
        process.stdout.write(`released ${count} Adapter${count === 1 ? '' : 's'}\n`);
      } finally {
        cancel();
        api.close();
      }
    });
