import { describeSettings } from '../../src/runtime/config/describe.ts';

/** docs/reference/configuration.md: the settings of `adaptlet serve` as a table. */
export const configReference = async (): Promise<Map<string, string>> => {
  const rows = describeSettings().map(({ flag, variable, fallback, text }) => {
    return `| \`${flag}\` | \`${variable}\` | ${fallback === '' ? '' : `\`${fallback}\``} | ${text} |`;
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
