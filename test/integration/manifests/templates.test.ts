import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import packageJson from '../../../package.json' with { type: 'json' };
import { operatorMemory } from '../../support/operator.ts';
import { repositoryRoot } from '../../support/process.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { chart, type Manifest, nameOf, readValues, render, rendered, valueSets, valuesFile } from './helm.ts';
import { leavesOf, type Path, valueAt, without } from './paths.ts';

const folder = folderOfTests();

/** For people to compare: CRDs have files of their own, and a release changes the version everywhere. */
const readable = (manifests: readonly Manifest[]): string =>
  manifests
    .map((manifest) => (manifest.kind === 'CustomResourceDefinition' ? { ...manifest, spec: '…' } : manifest))
    .map((manifest) => stringify(manifest, { aliasDuplicateObjects: false, lineWidth: 120 }))
    .join('---\n')
    .replaceAll(packageJson.version, 'VERSION');

/**
 * What comes of values, as helm writes it, which is cheaper than to read 260 KB of YAML each time; or its refusal: a value
 * without which the chart refuses the others matters too. Comments do not count.
 */
const withoutComments = async (file: string, flags: readonly string[]): Promise<string> => {
  const { code, stdout, stderr } = await render('-f', file, ...flags);
  return code === 0 ? stdout.replaceAll(/^\s*(#.*)?\n/gm, '') : stderr;
};

/** Some at a time: a process of helm mostly waits for its start. */
const eachOf = async <T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> => {
  const left = [...all];
  const worker = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await work(one);
  };
  await Promise.all([worker(), worker(), worker()]);
};

describe('what the chart renders', () => {
  it('is, with its defaults, as reviewed', async () => {
    await expect(readable(await rendered())).toMatchFileSnapshot('snapshots/defaults.yaml');
  });

  it.for(valueSets)('is, with values/%s.yaml, as reviewed', async (set) => {
    const manifests = await rendered('-f', valuesFile(set));
    await expect(readable(manifests)).toMatchFileSnapshot(`snapshots/${set}.yaml`);
  });

  it('gives an operator the memory that it has where its memory is measured', async () => {
    const deployment = (await rendered()).find(({ kind }) => kind === 'Deployment');
    const text = JSON.stringify(deployment);
    expect(text).toContain('"limits":{"memory":"1Gi"}');
    const { NODE_OPTIONS: options, MALLOC_MMAP_THRESHOLD_: threshold } = operatorMemory();
    const ofLimit = options.replace('size=410', 'size-percentage=40');
    expect(text).toContain(`{"name":"NODE_OPTIONS","value":"${ofLimit}"}`);
    expect(text).toContain(`{"name":"MALLOC_MMAP_THRESHOLD_","value":"${threshold}"}`);
  });

  it('depends on every value, each of which is set in one of these', async () => {
    const known = leavesOf(readValues(join(chart, 'values.yaml')));
    const matters = new Set<string>();
    for (const set of valueSets) {
      const values = readValues(valuesFile(set));
      const wholes = new Map<number, Promise<string>>();
      const isOpen = (leaf: Path): boolean =>
        valueAt(values, leaf) !== undefined && !matters.has(leaf.join('.'));
      await eachOf(known.filter(isOpen), async (path) => {
        const file = join(folder, `without-${path.join('.')}.yaml`);
        writeFileSync(file, stringify(without(values, path)));
        // CRDs are a third of the work, and depend on that one value.
        const flags = path[0] === 'crds' ? [] : ['--set', 'crds.install=false'];
        wholes.set(flags.length, wholes.get(flags.length) ?? withoutComments(valuesFile(set), flags));
        const whole = await wholes.get(flags.length);
        if ((await withoutComments(file, flags)) !== whole) matters.add(path.join('.'));
      });
    }
    expect(known.map((path) => path.join('.')).filter((name) => !matters.has(name))).toEqual([]);
  });

  it('is three DaemonSets and one Service for the profiles of docs/how-to/devices.md', async () => {
    const page = readFileSync(join(repositoryRoot, 'docs/how-to/devices.md'), 'utf8');
    const [, values = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
    const file = join(folder, 'devices.yaml');
    writeFileSync(file, values);
    const names = (await rendered('-f', file)).map(nameOf);
    expect(names.filter((name) => name.startsWith('DaemonSet'))).toEqual([
      'DaemonSet adaptlet-runtime-nvidia',
      'DaemonSet adaptlet-runtime-shared',
      'DaemonSet adaptlet-runtime-cpu',
    ]);
    expect(names.filter((name) => name === 'Service adaptlet-runtime')).toHaveLength(1);
  });

  it('names nothing twice', async () => {
    for (const set of valueSets) {
      const objects = await rendered('-f', valuesFile(set));
      const names = objects.map((object) => `${nameOf(object)} ${object.metadata.namespace ?? ''}`);
      expect(names).toEqual([...new Set(names)]);
    }
  });
});
