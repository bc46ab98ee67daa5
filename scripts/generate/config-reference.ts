import { z } from 'zod';
import { flagOf, settingNames, variableOf } from '../../src/runtime/config/read.ts';
import { settingsSchema } from '../../src/runtime/config/settings.ts';

/** docs/reference/configuration.md: the settings of `adaptlet serve` as a table. */
export const configReference = async (): Promise<Map<string, string>> => {
  const { properties = {} } = z.toJSONSchema(settingsSchema, { io: 'input', unrepresentable: 'any' });
  const rows = settingNames.map((name) => {
    const property = properties[name];
    const { default: fallback, description } = typeof property === 'object' ? property : {};
    const shown =
      fallback === undefined || fallback === '' ? '' : `\`${JSON.stringify(fallback).replaceAll('"', '')}\``;
    return `| \`${flagOf(name)}\` | \`${variableOf(name)}\` | ${shown} | ${description ?? ''} |`;
  });
  const text = [
    '# Configuration of `adaptlet serve`',
    '',
    'A flag wins over its environment variable. Generated from src/runtime/config/settings.ts.',
    '',
    '| flag | variable | default | what |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
  return new Map([['docs/reference/configuration.md', text]]);
};
