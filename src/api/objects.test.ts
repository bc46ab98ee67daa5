import { describe, it } from 'vitest';
import { document, expectMessages, type Fields, type Row } from './manifests.fixture.ts';

const path = { path: { path: 'team-a/sql' } };

const adapter = (fields: Fields = {}) => document('Adapter', { baseModel: 'tiny', source: path, ...fields });

const metadata = (fields: Fields) =>
  document('Adapter', { baseModel: 'tiny', source: path }, { metadata: { name: 'x', ...fields } });

const rows: readonly Row[] = [
  [
    'another group',
    adapter().replace('adaptlet.io/v1alpha1', 'apps/v1').replace('"Adapter"', '"Deployment"'),
    'apiVersion "apps/v1" is not Adaptlet\'s: only objects of adaptlet.io/v1alpha1 belong in this file',
  ],
  [
    'another version',
    adapter().replace('v1alpha1', 'v1'),
    'apiVersion "adaptlet.io/v1" is not known: write adaptlet.io/v1alpha1',
  ],
  ['no apiVersion', '{"kind": "Adapter"}', 'apiVersion is required: write apiVersion: adaptlet.io/v1alpha1'],
  [
    'no kind',
    '{"apiVersion": "adaptlet.io/v1alpha1"}',
    'kind is required: one of Adapter, AdapterRollout, AdapterRoute, AdapterPolicy',
  ],
  [
    'a kind that is spelled wrong',
    document('AdapterRolout', {}),
    'kind "AdapterRolout" is not known: did you mean AdapterRollout',
  ],
  [
    'a list of objects',
    document('List', {}),
    'kind "List" is not known: one of Adapter, AdapterRollout, AdapterRoute, AdapterPolicy',
  ],
  [
    'a kind that is a map',
    document('Adapter', {}).replace('"Adapter"', '{"a": 1}'),
    'kind {"a":1} is not known: one of Adapter, AdapterRollout, AdapterRoute, AdapterPolicy',
  ],
  [
    'a runtime',
    document('AdapterRuntime', {}),
    'an AdapterRuntime is written by Adaptlet, not by a file: remove it',
  ],
  ['no spec', document('Adapter', undefined), 'spec is required'],
  ['an empty spec', document('Adapter', null), 'spec: must be a map of fields, but nothing is written there'],
  [
    'a status',
    adapter().replace(/}$/, ', "status": {}}'),
    'status is written by Adaptlet: remove it from the file',
  ],
  ['a uid', metadata({ uid: 'u' }), 'metadata.uid is given by the server: remove it from the file'],
  [
    'generateName',
    metadata({ generateName: 'x-' }),
    'metadata.generateName makes a new object each time: write metadata.name',
  ],
  [
    'a name in capitals',
    metadata({ name: 'SQL' }),
    'metadata.name: must be lower-case letters, digits, "-" or "." and start and end with a letter or digit',
  ],
  ['a name that is a number', metadata({ name: 1 }), 'metadata.name: must be a text: put it in quotes, "1"'],
  [
    'a namespace with a dot',
    metadata({ namespace: 'a.b' }),
    'metadata.namespace: must be lower-case letters, digits or "-" and start and end with a letter or digit',
  ],
  [
    'a label value with a space',
    metadata({ labels: { team: 'a b' } }),
    'metadata.labels.team: must be a label value: at most 63 letters, digits, "-", "_" or ".", starting and ending with a letter or digit',
  ],
  [
    'a label key with a space',
    metadata({ labels: { 'a b': 'c' } }),
    'metadata.labels["a b"]: must be a label key: an optional DNS prefix and "/", then at most 63 letters, digits, "-", "_" or "."',
  ],
  [
    'labels and annotations',
    metadata({ labels: { 'example.com/team': 'a' }, annotations: { note: 'any text: at all' } }),
  ],
];

describe('any manifest, good or bad', () => {
  it.each(rows)('%s', (_, text, ...messages) => {
    expectMessages(text, messages);
  });
});
