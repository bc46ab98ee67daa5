import type { Command } from 'commander';
import { completionCommand } from './completion.ts';
import { dashboardCommand } from './dashboard/command.ts';
import { doctorCommand } from './doctor.ts';
import { deviceCommands } from './enrol.ts';
import { explainCommand } from './explain.ts';
import { getCommand, watchCommand } from './get.ts';
import { listCommand } from './list.ts';
import { statusCommand } from './status.ts';
import { verbCommands } from './verbs.ts';
import { whoGetsCommand } from './who-gets.ts';

/** Every command of the plug-in. */
export const kubectlCommands = (version: string): Command[] => [
  getCommand(),
  listCommand(),
  watchCommand(),
  statusCommand(),
  ...verbCommands(),
  whoGetsCommand(),
  explainCommand(),
  ...deviceCommands(),
  dashboardCommand(),
  doctorCommand(version),
  completionCommand(),
];
