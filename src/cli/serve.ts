import { Command, Option } from 'commander';
import { readSettings } from '../runtime/config/read.ts';
import { settingsSchema } from '../runtime/config/settings.ts';
import { describeSettings, type Given } from '../settings/settings.ts';
import { systemClock } from '../time/clock.ts';
import { keepMemoryOutOfCores } from './core-files.ts';
import { openLog } from './log.ts';
import { keepHeapSmall } from './small-heap.ts';
import { keepPoolSmall } from './small-pool.ts';

/** `adaptlet serve`: one flag a setting, named and described by src/runtime/config. */
export const serveCommand = (version: string): Command => {
  const command = new Command('serve').description(
    'run a node: load the base model, follow a folder of manifests or an operator, answer gRPC and HTTP until SIGTERM',
  );
  for (const { flag, variable, fallback, text } of describeSettings(settingsSchema)) {
    const note = fallback === '' ? variable : `${variable}, default ${fallback}`;
    command.addOption(new Option(`${flag} <value>`, `${text} [${note}]`));
  }
  return command.action(async (flags: Given) => {
    keepHeapSmall();
    keepPoolSmall();
    const settings = readSettings(flags, process.env, process.cwd());
    // Before the first line of the log: whoever reads that may end the process.
    const stopped = Promise.withResolvers<string>();
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopped.resolve(signal));
    const { logger, exit } = openLog(settings.logLevel);
    keepMemoryOutOfCores(settings.coreFiles, logger);
    for (const choice of settings.choices) logger.info(choice, 'chosen for this machine');
    // Loaded here: the other commands start in a third of the time without it.
    const { startRuntime } = await import('../runtime/runtime.ts');
    const starting = startRuntime({ settings, version, clock: systemClock, logger });
    const runtime = await Promise.race([starting, stopped.promise]);
    if (typeof runtime === 'string') {
      // Weights may be prepared for minutes. Nothing is lost: every file is written so that a kill leaves it whole.
      logger.info({ signal: runtime }, 'stopped before it was ready');
      return exit();
    }
    process.stdout.write(
      `${JSON.stringify({ ready: true, grpc: runtime.grpcAddress, http: runtime.httpUrl, health: runtime.healthUrl, admin: runtime.adminAddress, dashboard: runtime.dashboardUrl })}\n`,
    );
    logger.info({ signal: await stopped.promise }, 'stopping');
    await runtime.close();
    // A connection that its client keeps open, and that no server can reach any more, must not keep the process.
    await exit();
  });
};
