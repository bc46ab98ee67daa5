import { Command } from 'commander';
import { distilCommand } from './distil.ts';

/** `adaptlet classifier`. */
export const classifierCommand = (): Command =>
  new Command('classifier').description('artifacts of classifiers of routes').addCommand(distilCommand());
