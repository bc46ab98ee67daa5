import { parser } from '@prometheus-io/lezer-promql';
import { beforeAll, describe, expect, it } from 'vitest';
import { exportedLabels } from './exported-series.ts';
import { rendered } from './helm.ts';

type Dashboard = {
  readonly uid: string;
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
  readonly panels: readonly {
    readonly title: string;
    readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
};

/** What Prometheus adds to every series of a target. */
const ofTarget = new Set(['instance', 'job', 'pod']);

/** A selector of a query: its metric, and the labels that the query has of it. */
type Selected = { readonly metric: string; readonly labels: ReadonlySet<string> };

/**
 * The selectors of a PromQL query, read by the grammar of Prometheus itself.
 * @throws it is no PromQL
 */
const selectorsOf = (expr: string): Selected[] => {
  const tree = parser.parse(expr);
  const found: { metric: string; labels: Set<string>; from: number; to: number }[] = [];
  const groupings: { readonly label: string; readonly from: number; readonly to: number }[] = [];
  tree.iterate({
    enter: ({ name, from, to, node, type }) => {
      if (type.isError) throw new Error(`not PromQL at ${from}: ${expr}`);
      const text = expr.slice(from, to);
      if (name === 'VectorSelector') {
        const metric = node.getChild('Identifier');
        found.push({ metric: expr.slice(metric?.from, metric?.to), labels: new Set(), from, to });
      }
      if (name !== 'LabelName') return;
      let above = node.parent;
      while (above !== null && above.name !== 'VectorSelector' && above.name !== 'AggregateExpr')
        above = above.parent;
      if (above?.name === 'VectorSelector') found.at(-1)?.labels.add(text);
      else if (above !== null) groupings.push({ label: text, from: above.from, to: above.to });
    },
  });
  // What is grouped by has to be a label of what is within the aggregation.
  for (const { label, from, to } of groupings)
    for (const selector of found) if (selector.from >= from && selector.to <= to) selector.labels.add(label);
  return found;
};

const wrong = (selected: Selected, known: ReadonlyMap<string, ReadonlySet<string>>): string[] => {
  const labels = known.get(selected.metric);
  if (labels === undefined) return [`there is no metric ${selected.metric}`];
  return [...selected.labels].flatMap((label) =>
    labels.has(label) || ofTarget.has(label) ? [] : [`${selected.metric} has no label ${label}`],
  );
};

let dashboards: readonly Dashboard[];
let known: ReadonlyMap<string, ReadonlySet<string>>;

beforeAll(async () => {
  known = await exportedLabels();
  const manifests = await rendered('--set', 'metrics.grafanaDashboards.enabled=true');
  const map = manifests.find(({ metadata }) => metadata.name === 'adaptlet-grafana-dashboards');
  expect(map?.metadata).toMatchObject({ labels: { grafana_dashboard: '1' } });
  dashboards = Object.values((map as unknown as { data: Record<string, string> }).data).map(
    (text) => JSON.parse(text) as Dashboard,
  );
});

describe('the dashboards for Grafana', () => {
  it('are there only where somebody asks for them', async () => {
    const names = (await rendered()).map(({ metadata }) => metadata.name);
    expect(names).not.toContain('adaptlet-grafana-dashboards');
    expect(dashboards.map(({ uid }) => uid)).toEqual(['adaptlet-fleet', 'adaptlet-rollout']);
  });

  it('ask for metrics and labels that an operator and a runtime export', () => {
    const queries = dashboards.flatMap(({ panels }) =>
      panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    );
    expect(queries.length).toBeGreaterThan(40);
    const selectors = queries.map((query) => selectorsOf(query));
    expect(selectors.filter((some) => some.length === 0)).toEqual([]);
    expect(selectors.flat().flatMap((one) => wrong(one, known))).toEqual([]);
  });

  it('let people choose by labels that there are, and use no other variables', () => {
    for (const { templating, panels } of dashboards) {
      for (const { definition } of templating.list) {
        if (definition === undefined) continue;
        const [, selector = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? [];
        const selected = selectorsOf(selector).map((one) => ({
          ...one,
          labels: new Set([...one.labels, label]),
        }));
        expect(selected.length).toBe(1);
        expect(selected.flatMap((one) => wrong(one, known))).toEqual([]);
      }
      const names = new Set(templating.list.map(({ name }) => name));
      for (const { targets = [] } of panels)
        for (const { expr } of targets)
          for (const [, variable = ''] of expr.matchAll(/\$(\w+)/g)) expect(names).toContain(variable);
    }
  });

  it('name in a legend what the query leaves', () => {
    for (const { targets = [], title } of dashboards.flatMap(({ panels }) => panels))
      for (const { expr, legendFormat } of targets)
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          expect([title, expr.replaceAll(/\s/g, '')]).toEqual([
            title,
            expect.stringMatching(new RegExp(`by\\((\\w+,)*${label}(,\\w+)*\\)`)),
          ]);
  });
});

describe('the check itself', () => {
  it.each([
    ['sum(adaptlet_no_such_thing)', ['there is no metric adaptlet_no_such_thing']],
    ['adaptlet_adapters{phase="x"}', ['adaptlet_adapters has no label phase']],
    ['sum by (arm) (rate(adaptlet_tokens_total{kind="prompt"}[5m]))', []],
    ['sum by (node) (adaptlet_ready)', ['adaptlet_ready has no label node']],
  ])('finds in %s what is wrong', (expr, expected) => {
    expect(selectorsOf(expr).flatMap((one) => wrong(one, known))).toEqual(expected);
  });

  it('refuses what is no PromQL', () => {
    expect(() => selectorsOf('sum by (')).toThrow('not PromQL');
  });
});
