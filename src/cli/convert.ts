import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { type Conversion, convertAdapter } from '../runtime/adapter/conversion/convert.ts';
import type { StatedError } from '../runtime/adapter/conversion/deviation.ts';
import { type Precision, precisions } from '../runtime/adapter/conversion/precision.ts';
import { settingsSchema } from '../runtime/config/settings.ts';

type Options = { readonly to: Precision; readonly output: 'text' | 'json' };

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
const percent = (share: number): string => `${(100 * share).toPrecision(3)} %`;

const errorLines = ({ relative, maxAbs, maxAbsTensor }: StatedError): readonly string[] =>
  maxAbs === 0
    ? ['every weight has the value that it had']
    : [
        `largest error of a weight: ${maxAbs.toPrecision(3)} (${maxAbsTensor})`,
        `relative error (Frobenius norm): overall ${percent(relative.overall)}, mean of the tensors ${percent(relative.mean)}, worst ${percent(relative.worst)} (${relative.worstTensor})`,
      ];

/** What a person reads of a conversion. */
export const conversionText = (
  folder: string,
  { to, bytesBefore, bytesAfter, error }: Conversion,
): string => {
  const size = `${megabytes(bytesAfter)} instead of ${megabytes(bytesBefore)}`;
  return [`${folder}: ${error.tensors} tensors as ${to}, ${size}`, ...errorLines(error), ''].join('\n');
};

/** `adaptlet convert`. */
export const convertCommand = (): Command =>
  new Command('convert')
    .description('write a smaller copy of an adapter and print its error; for use before you publish it')
    .argument('<folder>', 'PEFT folder with adapter_config.json and adapter_model.safetensors')
    .argument('<out>', 'PEFT folder to write; must not exist')
    .addOption(new Option('--to <precision>', 'what to store').choices(precisions).makeOptionMandatory())
    .addOption(new Option('-o, --output <form>', 'how to print it').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      '\nPrints the sizes and the error, which are in the metadata of the file as well. An adapter that a node would refuse is refused.\n\nExample:\n  adaptlet convert pirate pirate-int8 --to int8',
    )
    .action(async (folder: string, out: string, { to, output }: Options) => {
      const { maxRank } = settingsSchema.shape;
      const conversion = await convertAdapter({
        folder: resolve(folder),
        outFolder: resolve(out),
        to,
        maxRank: maxRank.parse(undefined),
      });
      const text =
        output === 'json' ? `${JSON.stringify(conversion, undefined, 2)}\n` : conversionText(out, conversion);
      process.stdout.write(text);
    });
