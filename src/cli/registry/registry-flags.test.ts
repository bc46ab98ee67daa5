import { describe, expect, it } from 'vitest';
import { digestCommand } from '../digest.ts';
import { imageOf } from './registry-flags.ts';

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
