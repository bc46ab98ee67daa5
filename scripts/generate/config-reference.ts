import { operatorSettingsSchema } from '../../src/operator/settings.ts';
import { settingsSchema } from '../../src/runtime/config/settings.ts';
import { describeSettings } from '../../src/settings/settings.ts';
import { code, table } from './table.ts';

/** The commands that run for long. */
export const programs = [
  { name: 'serve', schema: settingsSchema, source: 'src/runtime/config/settings.ts' },
  { name: 'operator', schema: operatorSettingsSchema, source: 'src/operator/settings.ts' },
];

/** docs/reference/configuration.md: the settings of the programs that run for long. */
export const configReference = async (): Promise<Map<string, string>> => {
  const page = [
    '# Configuration',
    '',
    'A flag wins over its environment variable.',
    '',
    ...programs.flatMap(({ name, schema, source }) => [
      `## ${code(`adaptlet ${name}`)}`,
      '',
      `Generated from ${source}.`,
      '',
      ...table(
        ['flag', 'variable', 'default', 'what'],
        describeSettings(schema).map(({ flag, variable, fallback, text }) => [
          code(flag),
          code(variable),
          code(fallback),
          text,
        ]),
      ),
      '',
    ]),
  ].join('\n');
  return new Map([['docs/reference/configuration.md', page]]);
};
