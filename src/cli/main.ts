import { Command } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { aliveUntil } from './alive-until.ts';
import { convertCommand } from './convert.ts';
import { digestCommand } from './digest.ts';
import { doctorCommand } from './doctor.ts';
import { generateCommand } from './generate.ts';
import { lintCommand } from './lint.ts';
import { modelCommand } from './model/command.ts';
import { operatorCommand } from './operator.ts';
import { releaseAdaptersCommand } from './release-adapters.ts';
import { serveCommand } from './serve.ts';
import { statusCommand } from './status.ts';
import { verbCommands } from './verbs.ts';

const program = new Command('adaptlet')
  .description(
    'One frozen base model, many LoRA adapters: fetched, switched, split over traffic and rolled back live.',
  )
  .version(packageJson.version)
  .showHelpAfterError('(--help lists the options)')
  .addCommand(serveCommand(packageJson.version))
  .addCommand(operatorCommand(packageJson.version))
  .addCommand(releaseAdaptersCommand())
  .addCommand(lintCommand())
  .addCommand(convertCommand())
  .addCommand(digestCommand())
  .addCommand(modelCommand())
  .addCommand(statusCommand())
  .addCommand(generateCommand())
  .addCommand(doctorCommand(packageJson.version));
for (const command of verbCommands()) program.addCommand(command);

try {
  await aliveUntil(program.parseAsync());
} catch (error) {
  // The message of an AdaptletError says what happened and what to do; a stack would bury it.
  process.stderr.write(`adaptlet: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
