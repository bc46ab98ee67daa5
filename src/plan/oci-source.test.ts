import { describe, expect, it } from 'vitest';
import { objectKey } from '../api/names.ts';
import { routeSpecSchema } from '../api/route.ts';
import { ociSourceOf } from './oci-source.ts';
import { adapterResource } from './resources.fixture.ts';
import { type Plan, type Resource, resourceKey, versioned } from './resources.ts';

const pullSecretRef = { name: 'login' };
const sql = { image: 'r.example/team-a/sql:v1', pullSecretRef };
const rules = routeSpecSchema.shape.rules.parse([
  {
    name: 'mine',
    perUser: {
      baseModel: 'tiny',
      source: { oci: { image: 'r.example/team-a/users/{user}:current', pullSecretRef } },
    },
  },
  { name: 'all', targets: [{ base: true, weight: 1 }] },
]);
const intent = { image: 'r.example/team-a/intent:v1', pullSecretRef };
const digest = `sha256:${'a'.repeat(64)}`;
const classifiers = routeSpecSchema.shape.classifiers.unwrap().parse([
  { name: 'table', minConfidence: 0.5, examples: { source: { oci: intent }, digest } },
  { name: 'encoder', minConfidence: 0.5, onnx: { source: { oci: intent }, digest } },
  { name: 'here', minConfidence: 0.5, onnx: { source: { path: { path: 'intent' } }, digest } },
  {
    name: 'words',
    minConfidence: 0.5,
    keywords: { labels: [{ name: 'a', terms: [{ text: 'x' }] }] },
  },
]);
const resources: Resource[] = [
  adapterResource(objectKey('team-a', 'sql'), { source: { oci: sql } }),
  adapterResource(objectKey('team-a', 'folder')),
  {
    type: 'Route',
    name: objectKey('team-a', 'way'),
    body: { uid: 'u', createdAt: '', model: 'assistant', rules, classifiers },
  },
];
const plan: Plan = new Map(resources.map((resource) => [resourceKey(resource), versioned(resource)]));

describe('where an artifact of a plan comes from', () => {
  it('is what its Adapter says, or the template of its route with the user in it', () => {
    expect(ociSourceOf(plan, 'team-a/sql')).toEqual(sql);
    expect(ociSourceOf(plan, 'team-a/way/mine/u42')).toEqual({
      image: 'r.example/team-a/users/u42:current',
      pullSecretRef,
    });
  });

  it.each(['table', 'encoder'])('is what the classifier %s of its route says', (name) => {
    expect(ociSourceOf(plan, `team-a/way/${name}`)).toEqual(intent);
  });

  it.each([
    ['another namespace', 'team-b/sql'],
    ['a folder', 'team-a/folder'],
    ['no such Adapter', 'team-a/other'],
    ['no such rule', 'team-a/way/theirs/u42'],
    ['a rule without users', 'team-a/way/all/u42'],
    ['no user', 'team-a/way/mine'],
    ['a classifier from a folder', 'team-a/way/here'],
    ['a classifier without an artifact', 'team-a/way/words'],
    ['a classifier of no such route', 'team-a/assistant/table'],
    ['a classifier of another namespace', 'team-b/way/table'],
    ['no such route', 'team-a/assistant/mine/u42'],
    ['a user that is a path', 'team-a/way/mine/u/../x'],
    ['a user that no request has', 'team-a/way/mine/U42'],
    ['a user that is a tag', 'team-a/way/mine/u:v1'],
    ['no name', ''],
  ])('is nothing for %s', (_, name) => {
    expect(ociSourceOf(plan, name)).toBeUndefined();
  });
});
