import { styleText } from 'node:util';
import { troubleshooting } from './catalogue.ts';
import type { Finding, Level } from './finding.ts';

const colours = { ok: 'green', warning: 'yellow', problem: 'red' } as const;
const signs = { ok: '✔', warning: '!', problem: '✖' } as const;

/** How many there are of a level. */
const count = (findings: readonly Finding[], level: Level): number =>
  findings.filter((finding) => finding.level === level).length;

const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** The findings as a person reads them; the last line says how many there are. */
export const reportText = (findings: readonly Finding[]): string => {
  const lines = findings.flatMap(({ id, level, message, fix }) => [
    `${styleText(colours[level], signs[level])} ${id}: ${message}`,
    ...(fix === undefined ? [] : [`    fix: ${fix}`]),
  ]);
  const [problems, warnings] = [count(findings, 'problem'), count(findings, 'warning')];
  const end =
    problems + warnings === 0
      ? 'nothing is wrong'
      : `${plural(problems, 'problem')}, ${plural(warnings, 'warning')}; ${troubleshooting} has a section for each`;
  return `${[...lines, '', end].join('\n')}\n`;
};

/** The findings for programs. */
export const reportJson = (findings: readonly Finding[]): string => {
  const items = findings.map((finding) => ({ ...finding, help: `${troubleshooting}#${finding.id}` }));
  const summary = { problems: count(findings, 'problem'), warnings: count(findings, 'warning') };
  return `${JSON.stringify({ findings: items, ...summary }, null, 2)}\n`;
};

/** 1 with problems. */
export const exitCodeOf = (findings: readonly Finding[]): 0 | 1 => (count(findings, 'problem') > 0 ? 1 : 0);
