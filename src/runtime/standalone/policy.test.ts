import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { parseManifests } from '../../api/parse.ts';
import type { Plan } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { StandaloneMemory } from '../state/memory.ts';
import { standaloneSchema } from '../state/memory.ts';
import { StandaloneController } from './controller.ts';
import { mergeScan } from './folder-state.ts';

const head = 'apiVersion: adaptlet.io/v1alpha1';
const adapter = (name: string, path: string, namespace = 'team-a') =>
  `${head}\nkind: Adapter\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec:\n  baseModel: tiny\n  source: {path: {path: ${path}}}\n---\n`;
const policy = (namespace: string, spec: string) =>
  `${head}\nkind: AdapterPolicy\nmetadata: {name: default, namespace: ${namespace}}\nspec: ${spec}\n---\n`;

const node = () => {
  let plan: Plan = new Map();
  const written: StandaloneMemory[] = [];
  const controller = new StandaloneController(
    {
      clock: new FakeClock(),
      logger: pino({ enabled: false }),
      runtime: { baseModel: 'tiny', labels: {} },
      memory: { write: async (value) => void written.push(value) },
      node: {
        adapter: () => undefined,
        holds: () => [],
        reports: () => new Map(),
        fits: () => ({ fits: true, message: '', unknown: [] }),
      },
      measure: () => Promise.reject(new Error('no server answers')),
      apply: (next) => {
        plan = next;
      },
    },
    undefined,
  );
  let uid = 0;
  const folder = (files: Record<string, string>) => {
    const scanned = Object.entries(files).map(([file, text]) => ({ file, text }));
    const parse = (text: string, file: string) => parseManifests(text, file, { defaultNamespace: 'default' });
    const identity = { newUid: () => `uid-${++uid}`, now: '2026-01-01T00:00:00Z' };
    controller.folderChanged(
      mergeScan(controller.files, scanned, parse, identity, () => false),
      'm',
    );
  };
  return { controller, written, folder, keys: () => [...plan.keys()] };
};

describe('an AdapterPolicy in the manifest folder', () => {
  it('keeps Adapters of other sources out, and the file that they are in is told', () => {
    const { controller, folder, keys } = node();
    folder({
      'adapters.yaml': adapter('mine', 'team-a/x') + adapter('theirs', 'team-b/x'),
      'policy.yaml': policy('team-a', '{sources: {paths: [team-a]}}'),
    });
    expect(keys()).toEqual(['AdapterSpec team-a/mine', 'Policy team-a/default']);
    expect(controller.folderReport().problems).toMatchObject([
      {
        file: 'adapters.yaml',
        reason: expect.stringContaining('team-a/theirs: SOURCE_NOT_ALLOWED: spec.source: the path team-b/x'),
      },
    ]);
  });

  it('of adaptlet-system holds for namespaces without one', () => {
    const { folder, keys } = node();
    const adapters = adapter('a', 'x', 'team-a') + adapter('b', 'x', 'team-b');
    folder({
      'adapters.yaml': adapters,
      'policy.yaml': policy('adaptlet-system', '{sources: {paths: []}}') + policy('team-b', '{}'),
    });
    expect(keys()).toEqual([
      'AdapterSpec team-b/b',
      'Policy adaptlet-system/default',
      'Policy team-b/default',
    ]);
  });

  it('that is not valid leaves the last valid one in force', () => {
    const { controller, folder, keys } = node();
    const adapters = { 'adapters.yaml': adapter('a', 'x') };
    folder({ ...adapters, 'policy.yaml': policy('team-a', '{sources: {paths: []}}') });
    folder({ ...adapters, 'policy.yaml': policy('team-a', '{base: Maybe}') });
    expect(keys()).toEqual(['Policy team-a/default']);
    expect(controller.folderReport().problems).toContainEqual(
      expect.objectContaining({ file: 'policy.yaml', reason: expect.stringContaining('spec.base') }),
    );
    folder(adapters);
    expect(keys()).toEqual(['AdapterSpec team-a/a']);
  });

  it('is remembered with the rest of the folder', async () => {
    const { folder, written } = node();
    folder({ 'policy.yaml': policy('team-a', '{base: Deny}') });
    await Promise.resolve();
    const [last] = written.slice(-1);
    expect(standaloneSchema.parse(JSON.parse(JSON.stringify(last)))).toEqual(last);
    expect(last?.files['policy.yaml']).toMatchObject([{ kind: 'AdapterPolicy', spec: { base: 'Deny' } }]);
  });
});
