import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { startDiskThread } from '../artifact/disk-thread.ts';
import { defaultLimits } from '../artifact/manifest.ts';
import { packFolder } from '../artifact/pack.ts';
import { type Method, methods } from '../runtime/adapter/composition/combine.ts';
import { composeAdapters, type Parent } from '../runtime/adapter/composition/compose.ts';
import { settingsSchema } from '../runtime/config/settings.ts';

type Options = {
  readonly output: string;
  readonly method: Method;
  readonly rank?: number;
  readonly initial?: string;
};

/** `FOLDER:WEIGHT`, by the last colon; a folder alone counts once. */
export const parentOf = (text: string): { readonly folder: string; readonly weight: number } => {
  const [, folder, weight] = /^(.+):([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)$/i.exec(text) ?? [];
  return folder === undefined ? { folder: text, weight: 1 } : { folder, weight: Number(weight) };
};

const rankOf = (text: string): number => {
  const rank = Number(text);
  if (Number.isSafeInteger(rank) && rank > 0) return rank;
  throw new InvalidArgumentError('It is a whole number above 0.');
};

/** `adaptlet compose`. */
export const composeCommand = (): Command =>
  new Command('compose')
    .description('merge adapters of one base model into a new one, as PEFT add_weighted_adapter does')
    .argument('<adapters...>', 'PEFT folders, each with what it counts: FOLDER:WEIGHT; without a weight 1')
    .requiredOption('-o, --output <folder>', 'PEFT folder to write; must not exist')
    .addOption(
      new Option(
        '--method <method>',
        'cat: the sum, of all ranks together; svd: what is nearest to it with a smaller rank; linear: sums of A and of B',
      )
        .choices(methods)
        .default('cat'),
    )
    .addOption(
      new Option('--rank <rank>', 'of svd; without it the largest of the adapters').argParser(rankOf),
    )
    .option(
      '--initial <folder>',
      'of one adapter by PiSSA, OLoRA, CorDA or LoRA-GA: the adapter as it was before training, which is subtracted',
    )
    .addHelpText(
      'after',
      '\nThe same adapters give the same bytes. The new folder names them by digest and weight, and push puts that into the manifest.\n\nExample:\n  adaptlet compose sql:0.7 pirate:0.3 -o sql-pirate',
    )
    .action(
      async (texts: readonly string[], { output, method, rank, initial }: Options, command: Command) => {
        if (rank !== undefined && method !== 'svd') command.error('error: --rank is for --method svd');
        await using disk = startDiskThread();
        const { signal } = new AbortController();
        const packed = async (folder: string): Promise<Omit<Parent, 'weight'>> => {
          const path = resolve(folder);
          const { digest } = await packFolder(path, { disk, limits: defaultLimits, signal });
          return { folder: path, digest };
        };
        const parents: Parent[] = [];
        for (const text of texts) {
          const { folder, weight } = parentOf(text);
          parents.push({ ...(await packed(folder)), weight });
        }
        const subtracted = initial === undefined ? undefined : await packed(initial);
        const outFolder = resolve(output);
        const maxRank = settingsSchema.shape.maxRank.parse(undefined);
        const made = await composeAdapters({
          parents,
          method,
          rank,
          initial: subtracted,
          outFolder,
          maxRank,
        });
        const { digest } = await packFolder(outFolder, { disk, limits: defaultLimits, signal });
        process.stdout.write(
          [
            `${output}: ${parents.length} adapters by ${method}, ${made.modules} modules of rank ${made.rank} at most, ${(made.bytes / 1e6).toFixed(2)} MB`,
            ...parents.map((parent) => `  ${parent.weight} of ${parent.digest}`),
            ...(subtracted === undefined ? [] : [`  -1 of ${subtracted.digest}`]),
            `digest: ${digest}`,
            '',
          ].join('\n'),
        );
      },
    );
