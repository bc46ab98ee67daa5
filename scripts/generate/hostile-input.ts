import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Report } from '../../test/fuzz/bytes/report.ts';
import { targets } from '../../test/fuzz/bytes/targets.ts';
import { code, table } from './table.ts';

const root = join(import.meta.dirname, '../..');
const source = 'docs/reference/hostile-input.json';

const number = (value: number): string => Math.round(value).toLocaleString('en-US');

const ofBaseModels: ReadonlySet<string | undefined> = new Set(['tokenizer', 'chat-template']);
const knownLimit =
  'That the chat template and the tokenizer of a base model may hang is a [known limit](../explanation/architecture.md#where-a-guarantee-does-not-hold-yet).';

const pageOf = ({ seed, seconds, commit, machine, targets: ran }: Report): string => {
  const executions = ran.reduce((sum, each) => sum + each.executions, 0);
  const found = ran.flatMap(({ name, found: each }) => each.map((what) => [name, what]));
  const notRun = targets.filter(({ name }) => !ran.some((each) => each.name === name));
  return [
    '# Hostile input',
    '',
    'Every reader of bytes from outside, with real examples that are changed at random: as bytes, and as the format that they are.',
    'An input has to be accepted or refused with a code; nothing else may be thrown, hang, or take more memory than it may.',
    '[test/fuzz/bytes](../../test/fuzz/bytes/README.md) says how.',
    '',
    `**${number(executions)} executions**, ${number(seconds)} s of each reader, seed ${seed}, commit ${code(commit)}, ${machine.cpu}, Node ${machine.node}.`,
    `This page is generated from [hostile-input.json](hostile-input.json), which ${code(`node test/fuzz/bytes/main.ts --seconds ${seconds} --seed ${seed} --report ${source}`)} wrote.`,
    '',
    ...table(
      [
        'reader',
        'code',
        'executions',
        'accepted',
        'kinds of answers',
        'slowest, ms',
        'most left in memory, KiB',
        'found',
      ],
      ran.map(({ name, reads, executions: runs, accepted, outcomes, slowestMs, mostBytes, found: each }) => [
        name,
        code(reads),
        number(runs),
        `${number((100 * accepted) / Math.max(1, runs))} %`,
        number(outcomes),
        number(slowestMs),
        number(mostBytes / 1024),
        number(each.length),
      ]),
    ),
    '',
    'Kinds of answers: codes, with their messages without numbers and quoted text. The slowest execution is one of a machine that does',
    'other things as well. What is left in memory is before the garbage collector comes; it is measured after each execution.',
    '',
    ...(found.length === 0 ? ['Nothing was found.'] : table(['reader', 'found'], found)),
    ...(found.some(([name]) => ofBaseModels.has(name)) ? ['', knownLimit] : []),
    ...(notRun.length === 0 ? [] : ['', `Not yet run: ${notRun.map(({ name }) => name).join(', ')}.`]),
    '',
  ].join('\n');
};

/** A page about the run whose report is saved. */
export const hostileInputPage = async (): Promise<Map<string, string>> => {
  const report = JSON.parse(await readFile(join(root, source), 'utf8')) as Report;
  return new Map([['docs/reference/hostile-input.md', pageOf(report)]]);
};
