import { Command, Option } from 'commander';
import { completeSettings, operatorSettingsSchema } from '../operator/settings.ts';
import { describeSettings, type Given, readSettings } from '../settings/settings.ts';
import { systemClock } from '../time/clock.ts';
import { keepMemoryOutOfCores } from './core-files.ts';
import { openLog } from './log.ts';
import { growOldBy } from './small-heap.ts';
import { keepPoolSmall } from './small-pool.ts';

/** `adaptlet operator`: one flag a setting, named and described by src/operator/settings.ts. */
export const operatorCommand = (version: string): Command => {
  const command = new Command('operator').description(
    'run a replica of the operator: follow the API server, direct runtimes, decide about rollouts, until SIGTERM',
  );
  for (const { flag, variable, fallback, text } of describeSettings(operatorSettingsSchema)) {
    const note = fallback === '' ? variable : `${variable}, default ${fallback}`;
    command.addOption(new Option(`${flag} <value>`, `${text} [${note}]`));
  }
  return command.action(async (flags: Given) => {
    keepPoolSmall();
    // docs/adr/0082: what a thousand runtimes leave uncollected.
    growOldBy(10);
    const settings = completeSettings(readSettings(operatorSettingsSchema, flags, process.env));
    // Before the first line of the log: whoever reads that may end the process.
    const stop = new AbortController();
    const stopped = new Promise<string>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const)
        process.once(signal, () => {
          stop.abort(new Error(`stopped by ${signal}`));
          resolve(signal);
        });
    });
    const { logger, exit } = openLog(settings.logLevel);
    keepMemoryOutOfCores(settings.coreFiles, logger);
    const { startOperator } = await import('../operator/operator.ts');
    const starting = startOperator({
      settings,
      version,
      clock: systemClock,
      random: Math.random,
      logger,
      signal: stop.signal,
    });
    const operator = await Promise.race([starting, stopped]);
    if (typeof operator === 'string') {
      logger.info({ signal: operator }, 'stopped before it was ready');
      return exit();
    }
    process.stdout.write(
      `${JSON.stringify({ ready: true, grpc: operator.grpcAddress, http: operator.httpUrl, devices: operator.deviceAddress, webhook: operator.webhookAddress, dashboard: operator.dashboardUrl })}\n`,
    );
    logger.info({ signal: await stopped }, 'stopping');
    await operator.close();
    await exit();
  });
};
