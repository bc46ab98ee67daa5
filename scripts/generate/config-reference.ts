import { describeSettings } from '../../src/runtime/config/describe.ts';
import { code, table } from './table.ts';

/** docs/reference/configuration.md: the settings of `adaptlet serve`. */
export const configReference = async (): Promise<Map<string, string>> => {
  const rows = describeSettings().map(({ flag, variable, fallback, text }) => [
    code(flag),
    code(variable),
    code(fallback),
    text,
  ]);
  const text = [
    '# Configuration of `adaptlet serve`',
    '',
    'A flag wins over its environment variable. Generated from src/runtime/config/settings.ts.',
    '',
    ...table(['flag', 'variable', 'default', 'what'], rows),
    '',
  ].join('\n');
  return new Map([['docs/reference/configuration.md', text]]);
};
