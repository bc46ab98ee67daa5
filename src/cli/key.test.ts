import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { policySpecSchema } from '../api/policy.ts';
import { newKey } from './key.ts';

it('a key is new each time, and its lines are those of a policy', () => {
  const { key, sha256, text } = newKey('mobile-app');
  expect(key).toMatch(/^adk_[\w-]{43}$/);
  expect(sha256).toBe(createHash('sha256').update(key).digest('hex'));
  const { spec } = parse(text.slice(text.indexOf('spec:'))) as { spec: unknown };
  expect(policySpecSchema.parse(spec).clients.apiKeys).toEqual([{ name: 'mobile-app', sha256, rights: [] }]);
  expect(text.split(key)).toHaveLength(2);
  expect(newKey('mobile-app').key).not.toBe(key);
});

it('a name that no key may have is refused', () => {
  expect(() => newKey('Mobile App')).toThrow(/cannot have the name Mobile App/);
});
