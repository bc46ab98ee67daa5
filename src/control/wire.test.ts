import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Resource as WireResource } from '../gen/adaptlet/control/v1/control.ts';
import { canonicalJson } from '../plan/canonical.ts';
import { compilePlan } from '../plan/compile.ts';
import { anAdapter, aRollout, aRoute, aStatus, bound } from '../plan/manifests.fixture.ts';
import { versioned, versionOf } from '../plan/resources.ts';
import { adapter, route, split } from './plans.fixture.ts';
import { maxBodyBytes, resourceFromWire, resourceToWire } from './wire.ts';

const reasonOf = (wire: WireResource, limit?: number) => {
  const read = resourceFromWire(wire, limit);
  return 'refusal' in read ? read.refusal.reason : 'taken';
};
const wireOf = (key: string, body: unknown): WireResource => ({
  key,
  version: versionOf(body as Parameters<typeof versionOf>[0]),
  body: Buffer.from(canonicalJson(body)),
});
const plain = resourceToWire(versioned(split('sql')));

/** One object of each kind with everything that it can have. */
const compiled = compilePlan({
  runtime: { baseModel: 'tiny', labels: {} },
  manifests: [
    anAdapter(
      { name: 'sql-v1' },
      {
        digest: bound('x').digest,
        baseModelDigests: [bound('x').digest],
        validation: {
          smokeTests: [{ name: 't', prompt: 'p', maxTokens: 3, expect: { contains: 'x' } }],
          maxLatency: '1s',
          allowNoEffect: true,
        },
      },
    ),
    anAdapter({ name: 'plain' }),
    aRollout(
      { name: 'sql' },
      { adapter: 'sql-v1' },
      aStatus({
        stable: bound('sql-v1'),
        canary: { ...bound('sql-v2'), seed: '0123456789abcdef', attempt: 2 },
        history: [bound('sql-v0')],
      }),
    ),
    aRollout({ name: 'new' }, { adapter: 'sql-v1' }),
    aRoute(
      { name: 'assistant' },
      {
        rules: [
          {
            name: 'medical',
            matches: [
              {
                headers: [{ name: 'x-dep', type: 'Regex', value: 'med(ical)?' }],
                user: { prefix: 'b-' },
                tenant: { in: ['t'] },
              },
            ],
            targets: [{ rollout: 'sql', weight: 3 }],
            hashOn: 'Session',
            fallback: [{ base: true }],
          },
          {
            name: 'users',
            matches: [],
            perUser: { baseModel: 'tiny', source: { path: { path: 'users/{user}' } } },
            hashOn: 'User',
            fallback: [],
          },
        ],
      },
    ),
  ],
});

describe('a resource', () => {
  it('comes over the wire as it was compiled, whatever it has', () => {
    expect(compiled.plan.size).toBe(5);
    for (const resource of compiled.plan.values()) {
      const wire = WireResource.decode(WireResource.encode(resourceToWire(resource)).finish());
      expect(resourceFromWire(wire)).toEqual({ resource: JSON.parse(JSON.stringify(resource)) });
    }
  });

  it('is encoded once for all runtimes', () => {
    const resource = versioned(split('sql'));
    expect(resourceToWire(resource).body).toBe(resourceToWire(resource).body);
  });
});

describe('a resource is refused', () => {
  it.each([
    ['no type', 'team-a/sql'],
    ['an unknown type', 'Quota team-a/sql'],
    ['no namespace', 'Split sql'],
    ['a path', 'Split ../sql'],
    ['more than a name', 'Split team-a/sql/x'],
    ['more than a key', 'Split team-a/sql x'],
    ['no end', `Split team-a/${'x'.repeat(1000)}`],
  ])('whose key has %s', (_, key) => {
    const read = resourceFromWire({ ...plain, key });
    expect(read).toEqual({
      refusal: {
        key: key.slice(0, 400),
        version: plain.version,
        reason: 'the key is not `type namespace/name` of a known type',
      },
    });
  });

  it.each(['/etc/passwd', '../outside', 'a/../../outside', 'a/./b', '', '.', 'a\\..\\b', 'file:///etc'])(
    'that would have a node read %j',
    (path) => {
      const body = { ...adapter('sql').body, source: { path: { path } } };
      expect(reasonOf(wireOf('AdapterSpec team-a/sql', body))).toMatch(/^source/);
    },
  );

  it('whose body is not JSON', () => {
    expect(reasonOf({ ...plain, body: plain.body.subarray(0, -1) })).toMatch(/^the body is not JSON: /);
  });

  it('whose version is that of another body', () => {
    expect(reasonOf({ ...plain, version: '0123456789abcdef' })).toBe(
      `the body has the version ${plain.version}, not 0123456789abcdef`,
    );
  });

  it('whose body is of another type', () => {
    expect(reasonOf(wireOf('Split team-a/sql', adapter('sql').body))).toMatch(/^createdAt: .*; hashOn: /);
  });

  it('that says of the base model anything but that it may answer', () => {
    const wire = (fallbackToBase: boolean) =>
      wireOf('Split team-a/sql', { ...split('sql').body, fallbackToBase });
    expect(reasonOf(wire(false))).toMatch(/^fallbackToBase: /);
    expect(reasonOf(wire(true))).toBe('taken');
  });

  it('that has a field that this program does not know', () => {
    expect(reasonOf(wireOf('Split team-a/sql', { ...split('sql').body, twin: true }))).toBe(
      'body: Unrecognized key: "twin"',
    );
  });

  it('that leaves a field out which has a default in the API', () => {
    const { priority: _, ...body } = adapter('sql').body;
    expect(reasonOf(wireOf('AdapterSpec team-a/sql', body))).toMatch(/^the body has the version /);
  });

  it('with a pattern that does not compile', () => {
    const { body } = route('r');
    const [rule] = body.rules;
    const matches = [{ headers: [{ name: 'x', type: 'Regex', value: '(' }] }];
    expect(reasonOf(wireOf('Route team-a/r', { ...body, rules: [{ ...rule, matches }] }))).toMatch(
      /^rules\[0\]\.matches\[0\]\.headers\[0\]\.value: must be a regular expression/,
    );
  });

  it('that is longer than the limit', () => {
    expect(reasonOf(plain, plain.body.length)).toBe('taken');
    expect(reasonOf(plain, plain.body.length - 1)).toMatch(/^the body has \d+ bytes, at most \d+ are taken$/);
    expect(reasonOf({ ...plain, body: Buffer.alloc(maxBodyBytes + 1) })).toMatch(/at most 2097152/);
  });

  it('whatever byte of it is another: nothing throws, and nothing else is taken', () => {
    const wires = [...compiled.plan.values()].map(resourceToWire);
    fc.assert(
      fc.property(
        fc.constantFrom(...wires),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (wire, where, flip) => {
          const body = Buffer.from(wire.body);
          const index = where % body.length;
          body.writeUInt8(body.readUInt8(index) ^ flip, index);
          expect(reasonOf({ ...wire, body })).not.toBe('taken');
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('with any other bytes, or any JSON', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
      fc.json().map((text) => Buffer.from(text)),
      fc.integer({ min: 1, max: 50_000 }).map((depth) => Buffer.from('['.repeat(depth))),
    );
    fc.assert(
      fc.property(fc.constantFrom('AdapterSpec', 'Split', 'Route'), bytes, (type, body) => {
        const read = resourceFromWire({ key: `${type} team-a/x`, version: '0', body });
        expect('refusal' in read && read.refusal.reason.length).toBeLessThanOrEqual(512);
      }),
    );
  });
});
