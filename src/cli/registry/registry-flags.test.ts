import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { digestCommand } from '../digest.ts';
import { inspectCommand } from './inspect.ts';
import { pullCommand } from './pull.ts';
import { pushCommand } from './push.ts';
import { imageOf, readingOptionsOf, registryOptionsOf } from './registry-flags.ts';

describe('a reference', () => {
  it.each([
    ['sql', 'docker.io', 'library/sql', 'latest'],
    ['sql:v2', 'docker.io', 'library/sql', 'v2'],
    ['team/sql:v2', 'docker.io', 'team/sql', 'v2'],
    ['docker.io/sql', 'docker.io', 'library/sql', 'latest'],
    ['docker.io/team/sql', 'docker.io', 'team/sql', 'latest'],
    ['localhost/sql', 'localhost', 'sql', 'latest'],
    ['host:5000/sql:v2', 'host:5000', 'sql', 'v2'],
    ['registry.example/sql:v2', 'registry.example', 'sql', 'v2'],
    ['oci://registry.example/team/sql', 'registry.example', 'team/sql', 'latest'],
  ])('%s is completed as docker does', (reference, registry, repository, tag) => {
    expect(imageOf(reference)).toMatchObject({ registry, repository, tag });
  });
});

it('adaptlet digest, which asks no registry, has no flag for the credentials of one', () => {
  expect(digestCommand().options.map(({ long }) => long)).toEqual([
    '--insecure-registries',
    '--ca',
    '--endpoint',
  ]);
});

describe('mirrors of a command', () => {
  const mirrors = 'r.test=m.test:5000,n.test';

  it('come from its flag, or from the variable of nodes', () => {
    const expected = new Map([['r.test', ['m.test:5000', 'n.test']]]);
    expect(readingOptionsOf({ registryMirrors: mirrors }, {}).mirrors).toEqual(expected);
    expect(readingOptionsOf({}, { ADAPTLET_REGISTRY_MIRRORS: mirrors }).mirrors).toEqual(expected);
  });

  it('are for commands that read alone: what a mirror has would not be pushed', () => {
    const has = (command: Command): boolean =>
      command.options.some(({ long }) => long === '--registry-mirrors');
    expect([pullCommand(), inspectCommand(), pushCommand()].map(has)).toEqual([true, true, false]);
    expect(registryOptionsOf({}, { ADAPTLET_REGISTRY_MIRRORS: mirrors })).not.toHaveProperty('mirrors');
  });
});
