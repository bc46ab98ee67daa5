import { Command, Option } from 'commander';
import { pino } from 'pino';
import { flagOf, readSettings, settingNames, variableOf } from '../runtime/config/read.ts';
import { type SettingName, settingsSchema } from '../runtime/config/settings.ts';
import { startRuntime } from '../runtime/runtime.ts';
import { systemClock } from '../time/clock.ts';

/** `adaptlet serve`: one flag a setting, named and described by src/runtime/config. */
export const serveCommand = (version: string): Command => {
  const command = new Command('serve').description(
    'run a node: load the base model, follow a folder of manifests, answer gRPC and HTTP until SIGTERM',
  );
  for (const name of settingNames) {
    const description = settingsSchema.shape[name].description ?? '';
    command.addOption(new Option(`${flagOf(name)} <value>`, `${description} [${variableOf(name)}]`));
  }
  return command.action(async (flags: Partial<Record<SettingName, string>>) => {
    const settings = readSettings(flags, process.env, process.cwd());
    const logger = pino(
      { name: 'adaptlet', level: settings.logLevel },
      pino.destination({ fd: 2, sync: true }),
    );
    const stopped = Promise.withResolvers<string>();
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stopped.resolve(signal));
    const runtime = await startRuntime({ settings, version, clock: systemClock, logger });
    process.stdout.write(
      `${JSON.stringify({ ready: true, grpc: runtime.grpcAddress, http: runtime.httpUrl, admin: runtime.adminAddress })}\n`,
    );
    logger.info({ signal: await stopped.promise }, 'stopping');
    await runtime.close();
  });
};
