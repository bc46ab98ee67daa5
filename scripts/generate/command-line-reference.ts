import type { Command } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { allCommands } from '../../src/cli/commands.ts';
import { kubectlCommands } from '../../src/cli/kubectl/commands.ts';
import { verbCommands } from '../../src/cli/verbs.ts';
import { programs } from './config-reference.ts';
import { code, table } from './table.ts';

const usageOf = (command: Command, program = 'adaptlet'): string => {
  const words = command.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return [program, command.name(), ...words].join(' ');
};

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

const optionRows = (
  command: Command,
  isMeant: (flags: string) => boolean = () => true,
): readonly (readonly string[])[] =>
  command.options
    .filter(({ flags }) => isMeant(flags))
    .map((option) => {
      const { defaultValue: value } = option as { readonly defaultValue?: unknown };
      const isNothing = value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
      return [
        code(option.flags),
        isNothing ? '' : code(typeof value === 'string' ? value : JSON.stringify(value)),
        option.description,
      ];
    });

const section = (command: Command, program?: string, heading = '##'): readonly string[] => {
  const rows = optionRows(command);
  return [
    `${heading} \`${usageOf(command, program)}\``,
    '',
    sentence(command.description()),
    '',
    ...(rows.length === 0 ? [] : [...table(['option', 'default', 'what'], rows), '']),
  ];
};

/** docs/reference/command-line.md: every command but those whose settings are in configuration.md. */
export const commandLineReference = async (): Promise<Map<string, string>> => {
  const verbs = verbCommands();
  const isShared = (flags: string): boolean =>
    verbs.every(({ options }) => options.some((option) => option.flags === flags));
  const ownFlags = ({ options }: Command): string =>
    options.flatMap(({ flags }) => (isShared(flags) ? [] : [` [${flags}]`])).join('');
  const sharedRows = verbs[0] === undefined ? [] : optionRows(verbs[0], isShared);
  const elsewhere = new Set([...programs.map(({ name }) => name), ...verbs.map((verb) => verb.name())]);
  const others = (await allCommands(packageJson.version)).filter((one) => !elsewhere.has(one.name()));
  const text = [
    '# Command line',
    '',
    'Results go to stdout, everything else to stderr; exit code 1 is a failure. The flags of `adaptlet serve` and',
    '`adaptlet operator` are in [configuration.md](configuration.md). [How to get `adaptlet`](../how-to/get-adaptlet.md). Generated from src/cli.',
    '',
    ...others.flatMap((command) =>
      command.commands.length === 0
        ? section(command)
        : command.commands.flatMap((one) => section(one, `adaptlet ${command.name()}`)),
    ),
    '## Verbs',
    '',
    ...table(
      ['command', 'what it does'],
      verbs.map((command) => [code(`${usageOf(command)}${ownFlags(command)}`), command.description()]),
    ),
    '',
    'All of them take:',
    '',
    ...table(['option', 'default', 'what'], sharedRows),
    '',
    '## `kubectl adaptlet`',
    '',
    'The plug-in is one file, [installed](../how-to/install-the-plugin.md) by krew or by hand; kubectl finds it on the PATH.',
    '',
    ...kubectlCommands(packageJson.version).flatMap((command) => section(command, 'kubectl adaptlet', '###')),
  ].join('\n');
  return new Map([['docs/reference/command-line.md', text]]);
};
