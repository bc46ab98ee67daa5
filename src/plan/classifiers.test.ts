import { describe, expect, it } from 'vitest';
import { classifierSchema } from '../api/classifier.ts';
import { fakeDigest } from '../api/names.fixture.ts';
import { routeSpecSchema } from '../api/route.ts';
import { readBody } from '../control/bodies.ts';
import { compilePlan, routeResource } from './compile.ts';
import { anAdapter, aPolicy, aRoute } from './manifests.fixture.ts';
import { adaptersNamedBy } from './mentions.ts';
import { policyFindings } from './policy-findings.ts';

const digest = fakeDigest('0');
const classifier = (labels: unknown, source: unknown = { oci: { image: 'r.io/team-a/intent:v1' } }) =>
  classifierSchema.parse({ name: 'intent', minConfidence: 0.5, examples: { source, digest, labels } });
const route = (labels: unknown, source?: unknown) => {
  const rules = [{ name: 'r', targets: [{ base: true }] }];
  const spec = routeSpecSchema.parse({ model: 'm', rules, classifiers: [classifier(labels, source)] });
  return aRoute({ name: 'm', namespace: 'team-a' }, spec);
};

describe('classifiers of a route', () => {
  it('are in its plan, and come over the wire as they are', () => {
    const resource = routeResource(route([{ name: 'a', texts: ['x'] }]));
    expect(resource.body.classifiers).toMatchObject([
      { name: 'intent', minMargin: 0, onUncertain: 'NoMatch' },
    ]);
    const read = readBody({ type: 'Route', name: resource.name }, JSON.parse(JSON.stringify(resource.body)));
    expect(read).toEqual({ resource: { type: 'Route', name: resource.name, body: resource.body } });
  });

  it('that are not there leave a route as runtimes of earlier versions know it', () => {
    const rules = [{ name: 'r', targets: [{ base: true }] }];
    const plain = aRoute({ name: 'm', namespace: 'team-a' }, routeSpecSchema.parse({ model: 'm', rules }));
    expect(Object.keys(routeResource(plain).body)).toEqual(['uid', 'createdAt', 'model', 'rules']);
  });

  it('bring the adapters whose smoke tests are examples: named, or of the name of the label', () => {
    const labels = [{ name: 'a' }, { name: 'b', adapter: 'other' }, { name: 'c', texts: ['x'] }];
    expect([...adaptersNamedBy(route(labels))]).toEqual(['team-a/a', 'team-a/other']);
    const pinned = { digest };
    const manifests = [route(labels), anAdapter({ name: 'other', namespace: 'team-a' }, pinned)];
    const { plan } = compilePlan({ manifests, runtime: { baseModel: 'tiny', labels: {} } });
    expect([...plan.keys()].toSorted()).toEqual(['AdapterSpec team-a/other', 'Route team-a/m']);
  });

  it('come from where the policy of their namespace allows, signed where it asks for that', () => {
    const elsewhere = aPolicy('team-a', { sources: { registries: ['other.io'] } });
    const labels = [{ name: 'a', texts: ['x'] }];
    expect(policyFindings(route(labels), elsewhere)).toMatchObject([
      { path: ['spec', 'classifiers', 0, 'examples', 'source'], code: 'SOURCE_NOT_ALLOWED' },
    ]);
    expect(policyFindings(route(labels), aPolicy('team-a', {}))).toEqual([]);
  });
});
