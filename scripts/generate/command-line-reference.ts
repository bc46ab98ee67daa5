import type { Command } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { classifierCommand } from '../../src/cli/classifier/command.ts';
import { composeCommand } from '../../src/cli/compose.ts';
import { convertCommand } from '../../src/cli/convert.ts';
import { digestCommand } from '../../src/cli/digest.ts';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { generateCommand } from '../../src/cli/generate.ts';
import { kubectlCommands } from '../../src/cli/kubectl/commands.ts';
import { lintCommand } from '../../src/cli/lint.ts';
import { modelCommand } from '../../src/cli/model/command.ts';
import { deltaCommand } from '../../src/cli/registry/delta.ts';
import { inspectCommand } from '../../src/cli/registry/inspect.ts';
import { pullCommand } from '../../src/cli/registry/pull.ts';
import { pushCommand } from '../../src/cli/registry/push.ts';
import { signCommand } from '../../src/cli/registry/sign.ts';
import { verifyCommand } from '../../src/cli/registry/verify.ts';
import { releaseAdaptersCommand } from '../../src/cli/release-adapters.ts';
import { calibrateCommand } from '../../src/cli/route/calibrate.ts';
import { routeCommand } from '../../src/cli/route/cases.ts';
import { explainCommand } from '../../src/cli/route/explain.ts';
import { statusCommand } from '../../src/cli/status.ts';
import { verbCommands } from '../../src/cli/verbs.ts';
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

/** docs/reference/command-line.md: the commands besides `serve`, whose flags are in configuration.md. */
export const commandLineReference = async (): Promise<Map<string, string>> => {
  const verbs = verbCommands();
  const isShared = (flags: string): boolean =>
    verbs.every(({ options }) => options.some((option) => option.flags === flags));
  const ownFlags = ({ options }: Command): string =>
    options.flatMap(({ flags }) => (isShared(flags) ? [] : [` [${flags}]`])).join('');
  const sharedRows = verbs[0] === undefined ? [] : optionRows(verbs[0], isShared);
  const talking = [
    statusCommand(),
    doctorCommand(packageJson.version),
    generateCommand(),
    explainCommand(),
    calibrateCommand(),
    lintCommand(),
    digestCommand(),
    convertCommand(),
    composeCommand(),
    pushCommand(),
    pullCommand(),
    inspectCommand(),
    deltaCommand(),
    signCommand(),
    verifyCommand(),
    releaseAdaptersCommand(),
  ];
  const text = [
    '# Command line',
    '',
    'Results go to stdout, everything else to stderr; exit code 1 is a failure. The flags of `adaptlet serve` are in',
    '[configuration.md](configuration.md). Generated from src/cli.',
    '',
    ...talking.flatMap((command) => [
      `## \`${usageOf(command)}\``,
      '',
      sentence(command.description()),
      '',
      ...table(['option', 'default', 'what'], optionRows(command)),
      '',
    ]),
    ...[modelCommand(), classifierCommand(), routeCommand()].flatMap((parent) =>
      parent.commands.flatMap((command) => [
        `## \`${usageOf(command, `adaptlet ${parent.name()}`)}\``,
        '',
        sentence(command.description()),
        '',
        ...table(['option', 'default', 'what'], optionRows(command)),
        '',
      ]),
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
    ...kubectlCommands(packageJson.version).flatMap((command) => [
      `### \`${usageOf(command, 'kubectl adaptlet')}\``,
      '',
      sentence(command.description()),
      '',
      ...table(['option', 'default', 'what'], optionRows(command)),
      '',
    ]),
  ].join('\n');
  return new Map([['docs/reference/command-line.md', text]]);
};
