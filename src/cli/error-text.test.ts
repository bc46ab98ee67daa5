import { expect, it } from 'vitest';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { errorText } from './error-text.ts';

const advice = { REGISTRY_UNAVAILABLE: 'Run it again.', KUBE_NOT_FOUND: '' };

it('gives a person the advice that fits one, unless who threw it knew better', () => {
  expect(errorText(new AdaptletError('REGISTRY_UNAVAILABLE', 'it did not answer'), advice)).toBe(
    'it did not answer. Run it again.',
  );
  const known = new AdaptletError('REGISTRY_UNAVAILABLE', 'no certificate', { advice: 'Give one.' });
  expect(errorText(known, advice)).toBe('no certificate. Give one.');
  expect(errorText(new AdaptletError('KUBE_NOT_FOUND', 'there is no a'), advice)).toBe('there is no a');
  const other = new AdaptletError('STORE_LOCKED', 'locked');
  expect(errorText(other, advice)).toBe(other.message);
});

it('says of any other error what it says itself', () => {
  expect(errorText(new Error('odd'), advice)).toBe('odd');
  expect(errorText('odd', advice)).toBe('odd');
});
