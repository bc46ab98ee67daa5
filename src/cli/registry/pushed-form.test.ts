import { expect, it } from 'vitest';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { type FormFlags, formFrom } from './pushed-form.ts';

it.each<[FormFlags, ReturnType<typeof formFrom>]>([
  [{}, undefined],
  [{ layers: 'raw' }, undefined],
  [{ layers: 'tar' }, { kind: 'ModelPack', layers: 'tar', legacyCnai: false }],
  [{ legacyCnai: true }, { kind: 'ModelPack', layers: 'raw', legacyCnai: true }],
  [
    { legacyCnai: true, layers: 'tar' },
    { kind: 'ModelPack', layers: 'tar', legacyCnai: true },
  ],
  [{ asImage: true }, { kind: 'image' }],
])('%j asks for %j', (flags, form) => {
  expect(formFrom(flags)).toEqual(form);
});

it.each<FormFlags>([
  { asImage: true, legacyCnai: true },
  { asImage: true, layers: 'raw' },
])('%j is refused: an image is no ModelPack', async (flags) => {
  expect(await codeOf(() => formFrom(flags))).toBe('CONFIG_INVALID');
});
