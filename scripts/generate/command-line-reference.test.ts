import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { allCommands } from '../../src/cli/commands.ts';
import { kubectlCommands } from '../../src/cli/kubectl/commands.ts';

const folder = join(import.meta.dirname, '../../docs/reference');
const pages = ['command-line.md', 'configuration.md'].map((name) => readFileSync(join(folder, name), 'utf8'));

/** How each command is called that does something itself. */
const callsOf = (command: Command, program: string): readonly string[] => {
  const call = `${program} ${command.name()}`;
  return command.commands.length === 0 ? [call] : command.commands.flatMap((one) => callsOf(one, call));
};

describe('the pages of commands', () => {
  it('have every command of adaptlet and of its plug-in', async () => {
    const calls = [
      ...(await allCommands(packageJson.version)).flatMap((command) => callsOf(command, 'adaptlet')),
      ...kubectlCommands(packageJson.version).flatMap((command) => callsOf(command, 'kubectl adaptlet')),
    ];
    expect(calls).toEqual(
      expect.arrayContaining(['adaptlet serve', 'adaptlet model check', 'adaptlet undo']),
    );
    // In a heading or a table, alone or before its arguments.
    const isThere = (call: string): boolean =>
      pages.some((page) => page.includes('`' + call + '`') || page.includes('`' + call + ' '));
    expect(calls.filter((call) => !isThere(call))).toEqual([]);
  });
});
