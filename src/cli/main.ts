import { Command } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { aliveUntil } from './alive-until.ts';
import { wantedCommands } from './commands.ts';
import { errorText, type PersonalAdvice } from './error-text.ts';

const { version } = packageJson;

/** A command that ends does not try again by itself. */
const advice: PersonalAdvice = {
  REGISTRY_UNAVAILABLE:
    'Check the name of the registry and the way to it, then run the command again: what has arrived is not sent again.',
};

const program = new Command('adaptlet')
  .description(
    'One frozen base model, many LoRA adapters: fetched, switched, split over traffic and rolled back live.',
  )
  .version(version)
  .showHelpAfterError('(--help lists the options)');

try {
  for (const command of await wantedCommands(version, process.argv[2])) program.addCommand(command);
  await aliveUntil(program.parseAsync());
} catch (error) {
  // The message of an AdaptletError says what happened and what to do; a stack would bury it.
  process.stderr.write(`adaptlet: ${errorText(error, advice)}\n`);
  process.exitCode = 1;
}
