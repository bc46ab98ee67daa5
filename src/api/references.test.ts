import { describe, expect, it } from 'vitest';
import { parseManifests } from './parse.ts';
import { referenceFindings } from './references.ts';
import { rolloutStatusSchema } from './rollout-status.ts';

const head = 'apiVersion: adaptlet.io/v1alpha1';
const adapter = (name: string, baseModel = 'tiny') =>
  `---\n${head}\nkind: Adapter\nmetadata: {name: ${name}}\nspec: {baseModel: ${baseModel}, source: {path: {path: a}}, digest: "sha256:${'0'.repeat(64)}"}\n`;
const rollout = (name: string, to: string) =>
  `---\n${head}\nkind: AdapterRollout\nmetadata: {name: ${name}}\nspec: {adapter: ${to}}\n`;
const route = (model: string, rule: string) =>
  `---\n${head}\nkind: AdapterRoute\nmetadata: {name: route-${model}}\nspec: {model: ${model}, rules: [{name: r, ${rule}}]}\n`;

const objects = (...texts: string[]) => {
  const { documents, problems } = parseManifests(texts.join(''), 'a.yaml', { defaultNamespace: 'default' });
  expect(problems).toEqual([]);
  return documents.map((document) => document.manifest);
};
const said = (...texts: string[]) =>
  referenceFindings(objects(...texts)).map((f) => `${f.severity} ${f.key} ${f.reason}`);

describe('referenceFindings', () => {
  it('has nothing to say about objects that fit together', () => {
    expect(
      said(adapter('sql-v1'), rollout('sql', 'sql-v1'), route('assistant', 'targets: [{rollout: sql}]')),
    ).toEqual([]);
  });
  it('warns of a rollout to an Adapter that is not there, with the nearest name', () => {
    expect(said(adapter('sql-v1'), rollout('sql', 'sql-v2'))).toEqual([
      'Warning default/sql spec.adapter: there is no Adapter sql-v2 in namespace default, did you mean sql-v1',
    ]);
  });
  it('warns of targets and fallbacks that are not there', () => {
    expect(said(route('m', 'targets: [{rollout: sql}, {base: true}], fallback: [{adapter: a}]'))).toEqual([
      'Warning default/route-m spec.rules[0]: there is no AdapterRollout sql in namespace default',
      'Warning default/route-m spec.rules[0]: there is no Adapter a in namespace default',
    ]);
  });
  it('warns of targets for different base models, also behind a rollout', () => {
    const rule = 'targets: [{rollout: sql}, {adapter: b}]';
    expect(said(adapter('a', 'tiny'), adapter('b', 'big'), rollout('sql', 'a'), route('m', rule))).toEqual([
      'Warning default/route-m spec.rules[0]: the targets are for different base models (big, tiny): a runtime has one, so a part of the requests finds nothing',
    ]);
  });
  it('calls weights that are all 0 a problem, and with a fallback a warning', () => {
    expect(said(route('m', 'targets: [{base: true, weight: 0}]'))).toEqual([
      'Problem default/route-m spec.rules[0]: all weights are 0 and there is no fallback: no request can be answered',
    ]);
    expect(said(route('m', 'targets: [{base: true, weight: 0}], fallback: [{base: true}]'))).toEqual([
      'Warning default/route-m spec.rules[0]: all weights are 0: every request goes to the fallback',
    ]);
  });
  it('says which other object has the same name for clients', () => {
    expect(said(adapter('sql'), rollout('sql', 'sql'))).toEqual([
      'Problem default/sql metadata.name: clients call Adapter default/sql sql as well; the oldest object has the name, the others are not accepted',
    ]);
  });
  it('refuses a move to an adapter of another base model', () => {
    const manifests = objects(adapter('a', 'tiny'), adapter('b', 'big'), rollout('sql', 'b'));
    const digest = `sha256:${'0'.repeat(64)}`;
    const status = rolloutStatusSchema.parse({
      observedGeneration: 1,
      phase: 'Healthy',
      revision: 1,
      message: '',
      stable: { adapter: 'a', uid: 'u', digest },
      history: [],
      weights: { canary: 0, stable: 100 },
      conditions: [],
    });
    const found = referenceFindings(
      manifests.map((m) => (m.kind === 'AdapterRollout' ? { ...m, status } : m)),
    );
    expect(found.map((f) => `${f.severity} ${f.reason}`)).toEqual([
      'Problem spec.adapter: b is for the base model big, but the rollout serves a for tiny: use a rollout of its own',
    ]);
  });

  const analysis = (name: string, spec: string) =>
    `---\n${head}\nkind: AdapterAnalysis\nmetadata: {name: ${name}}\nspec: ${spec}\n`;
  const judged = (steps: string) =>
    `---\n${head}\nkind: AdapterRollout\nmetadata: {name: sql}\nspec: {adapter: sql-v1, strategy: {canary: {steps: [${steps}], analysis: {ref: quality}}}}\n`;
  it('warns of an AdapterAnalysis that is not there, wherever a strategy refers to it', () => {
    expect(
      said(adapter('sql-v1'), judged('{analysis: {ref: qualty}}'), analysis('quality', '{duration: 1m}')),
    ).toEqual([
      'Warning default/sql spec.strategy.canary.steps[0].analysis.ref: there is no AdapterAnalysis qualty in namespace default, did you mean quality',
    ]);
  });
  it('calls a step without an end a problem, and an analysis beside the steps needs none', () => {
    const both = [adapter('sql-v1'), analysis('quality', '{}')];
    expect(said(...both, judged(''))).toEqual([]);
    expect(said(...both, judged('{analysis: {ref: quality, duration: 5m}}'))).toEqual([]);
    expect(said(...both, judged('{analysis: {ref: quality}}'))).toEqual([
      expect.stringMatching(/^Problem default\/sql .*write a duration beside ref/),
    ]);
  });
  it('gives an AdapterAnalysis no name that clients call', () => {
    expect(said(adapter('sql-v1'), rollout('sql', 'sql-v1'), analysis('sql', '{}'))).toEqual([]);
  });
});
