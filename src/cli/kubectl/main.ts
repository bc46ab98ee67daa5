import { Command } from 'commander';
import packageJson from '../../../package.json' with { type: 'json' };
import { aliveUntil } from '../alive-until.ts';
import { kubectlCommands } from './commands.ts';
import { completeCommand } from './completion.ts';
import { textOf } from './output.ts';

const commands = kubectlCommands(packageJson.version);

const program = new Command('kubectl-adaptlet')
  .description('See and steer adapters and their rollouts in a cluster.')
  .version(packageJson.version)
  .showHelpAfterError('(--help lists the options)');
for (const command of commands) program.addCommand(command);
program.addCommand(completeCommand(commands), { hidden: true });

// No await at the top level: the plug-in is also built as one CommonJS script, which cannot have it.
aliveUntil(program.parseAsync()).catch((error: unknown) => {
  process.stderr.write(`error: ${textOf(error)}\n`);
  process.exitCode = 1;
});
