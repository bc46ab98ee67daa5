import { expect, it } from 'vitest';
import type { Report } from '../../test/bench/report.ts';
import { realSizes } from './real-sizes.ts';

const once = (ms: number) => ({ median: ms, p99: ms, n: 1 });
const report: Report = {
  bench: 'sizes',
  unit: 'ms',
  results: {
    'qwen3-06b_lot4_adaptlet_together_t2': once(1000),
    'qwen3-06b_lot4_genai_one_by_one_t2': once(4000),
    'qwen3-06b_lot4_genai_two_processes_t2': once(2000),
  },
  ratios: { 'qwen3-06b_mixed4_over_genai': 2 },
  setup: {},
  machine: { cores: 2, cpu: 'c', node: 'v24', loadavg: 1 },
};

it('shows every way in which another program was asked for a lot, and which were not measured', () => {
  const page = realSizes([report]).split('\n');
  expect(page).not.toContain('## Eight requests at once, tokens per second');
  const start = page.indexOf('## Four requests at once, tokens per second') + 2;
  const [head = '', , , withTwo = ''] = page.slice(start);
  const cell = (name: string) => withTwo.split(' | ')[head.split(' | ').indexOf(name)];
  expect([cell('4 adapters, one batch'), cell('over GenAI')]).toEqual(['128.0 (1)', '2.00']);
  expect([cell('GenAI, one by one'), cell('GenAI, two processes')]).toEqual(['32.0 (1)', '64.0 (1)']);
  expect(cell('llama.cpp, two processes')).toBe('not measured');
});

it('says of each model when it was measured, and of which commit', () => {
  const setup = { 'qwen3-06b_load_before': '1.0', 'qwen3-06b_load_after': '2.0' };
  const page = realSizes([{ ...report, setup, date: '2026-11-28', commit: '1234abcd' }]);
  expect(page).toContain('| Qwen3-0.6B | 2026-11-28, commit 1234abcd | 1.0 | 2.0 |');
});
