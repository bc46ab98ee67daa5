import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { Registry } from '../../artifact/registry.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { CheckSource } from '../../runtime/base-model/check-source.ts';
import { choose } from '../../runtime/config/choose.ts';
import { type Settings, settingsSchema } from '../../runtime/config/settings.ts';
import { readMachine } from '../../runtime/machine/machine.ts';
import { describeSettings, type Given, readSettings } from '../../settings/settings.ts';
import { systemClock } from '../../time/clock.ts';
import {
  imageOf,
  type RegistryFlags,
  registryOptionsOf,
  withRegistryFlags,
} from '../registry/registry-flags.ts';
import { type CheckReport, checkText, isServed } from './check-text.ts';

/** The settings of `serve` that decide what a model needs. */
const schema = settingsSchema.pick({
  adapterMemory: true,
  structureMemory: true,
  classifierModel: true,
  classifierMemory: true,
  kvMemory: true,
  kvPrecision: true,
  maxConcurrent: true,
  threads: true,
  executionProviders: true,
  deviceResources: true,
  requireProvider: true,
  pooling: true,
  modelFile: true,
});

type Flags = RegistryFlags &
  Given & {
    readonly output: 'text' | 'json';
    readonly run?: boolean;
    readonly requests?: number;
    readonly tokens?: number;
  };

const counted = (value: string): number => {
  const count = Number(value);
  if (Number.isInteger(count) && count > 0) return count;
  throw new InvalidArgumentError('It must be a number from 1 on.');
};

const quiet = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

const openSource = async (
  model: string,
  file: string | undefined,
  flags: RegistryFlags,
): Promise<CheckSource> => {
  const { folderSource, registrySource } = await import('../../runtime/base-model/check-source.ts');
  if (existsSync(model) || /^[./~]/.test(model)) return folderSource(resolve(model), file);
  const registry = new Registry(registryOptionsOf(flags, process.env));
  return await registrySource(registry, imageOf(model), { file, signal: new AbortController().signal });
};

/** `adaptlet model check`. */
export const checkCommand = (): Command => {
  const command = withRegistryFlags(new Command('check'))
    .description('say what a base model will do on this machine, and why it would be refused')
    .argument('<model>', 'folder, or registry/repository[:tag][@digest], of which no weights are fetched')
    .option('--requests <n>', 'requests at a time to reckon with; default: --max-concurrent', counted)
    .option('--tokens <n>', 'tokens of prompt and answer of each; default: 2048, or the context', counted)
    .option('--run', 'load it as serve does, with all proofs; of a folder only')
    .addOption(new Option('-o, --output <form>', 'how to print it').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      '\nWith the memory flags and variables of serve. Exit code 1 when the model would be refused.\n\nExample:\n  adaptlet model check registry.example/models/smollm2:int4 --kv-memory 256Mi',
    );
  for (const { flag, variable, fallback, text } of describeSettings(schema)) {
    const note = fallback === '' ? variable : `${variable}, default ${fallback}`;
    command.addOption(new Option(`${flag} <value>`, `${text} [${note}]`));
  }
  return command.action(async (model: string, { run, output, requests, tokens, ...flags }: Flags) => {
    const { settings } = choose(readSettings(schema, flags, process.env), readMachine());
    await using source = await openSource(model, settings.modelFile, flags);
    // Loaded here, with ONNX Runtime: the other commands start faster without it.
    const { checkModel } = await import('../../runtime/base-model/check-model.ts');
    const { serveFlags } = await import('../../runtime/base-model/serve-flags.ts');
    const wanted = {
      ...(requests === undefined ? {} : { requests }),
      ...(tokens === undefined ? {} : { tokens }),
    };
    const check = await checkModel(source.place, settings, wanted);
    const named = source.digest === undefined ? model : `oci://${model.replace(/^oci:\/\//, '')}`;
    const report: CheckReport = {
      model,
      ...(source.digest === undefined ? {} : { digest: source.digest }),
      ...check,
      flags: serveFlags(named, check, settings),
      ...(run === true ? { run: await trialOf(source, settings) } : {}),
    };
    process.stdout.write(output === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : checkText(report));
    if (!isServed(report)) process.exitCode = 1;
  });
};

const trialOf = async (source: CheckSource, settings: Pick<Settings, keyof typeof schema.shape>) => {
  if (source.digest !== undefined) {
    throw new AdaptletError('CONFIG_INVALID', '--run needs the weights, which lie in the registry', {
      advice: 'Fetch the model with adaptlet model pull and check the folder.',
    });
  }
  const { loadForTrial } = await import('../../runtime/base-model/trial-load.ts');
  return await loadForTrial(source.place.folder, settings, { clock: systemClock, logger: quiet });
};
