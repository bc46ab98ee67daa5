import type { Report } from '../../test/bench/report.ts';
import { type Goal, goals, outcomeOf, sizeOf, sizeText, verdicts } from './bench-goals.ts';
import { code, table } from './table.ts';

const rowOf = (goal: Goal, reports: readonly Report[]): readonly string[] => {
  const row = (measured: string, verdict: string, date = '') => {
    const bound = `${goal.bound} ${goal.value}${goal.of === undefined ? '' : ` at ${sizeText(goal.of)}`}`;
    return [goal.what, code(goal.key), measured, date, bound, verdict];
  };
  const outcome = outcomeOf(goal, reports);
  if (outcome === undefined) return row('', 'not measured');
  const { value, report, verdict } = outcome;
  const reach = goal.of === undefined ? 'up to' : 'at';
  const measured = goal.bench === 'fleet' ? `${value} ${reach} ${sizeText(sizeOf(report))}` : `${value}`;
  return row(measured, verdicts[verdict], report.date);
};

/** Every goal, with what the reports say of it, and on which day where that is known; of a fleet with its size. */
export const goalTable = (reports: readonly Report[]): readonly string[] =>
  table(
    ['what', 'key', 'measured', 'on', 'goal', ''],
    goals.map((goal) => rowOf(goal, reports)),
  );
