import { Command } from 'commander';
import { checkCommand } from './check.ts';
import { pullCommand } from './pull.ts';
import { pushCommand } from './push.ts';

/** `adaptlet model`. */
export const modelCommand = (): Command =>
  new Command('model')
    .description('base models as artifacts: push, pull, check')
    .addCommand(pushCommand())
    .addCommand(pullCommand())
    .addCommand(checkCommand());
