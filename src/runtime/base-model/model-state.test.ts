import { expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { modelText } from './model-state.ts';
import { Rate } from './rate.ts';

const mebibyte = 2 ** 20;
const progress = { digest: fakeDigest('a'), receivedBytes: 312 * mebibyte, totalBytes: 724 * mebibyte };

it('says how much of the model is here, how fast it comes, and why it waits', () => {
  expect(modelText({ kind: 'Downloading', bytesPerSecond: 2.5 * mebibyte, ...progress })).toBe(
    'the base model is being downloaded: 312 of 724 MiB, 2.5 MiB/s',
  );
  const why = { code: 'REGISTRY_UNAVAILABLE', message: 'nobody answers' };
  expect(modelText({ kind: 'Waiting', ...why, ...progress })).toBe(
    'the base model could not be fetched (312 of 724 MiB are here) and is tried again: REGISTRY_UNAVAILABLE: nobody answers',
  );
  expect(modelText({ kind: 'Waiting', ...why })).not.toContain('MiB');
  expect(modelText({ kind: 'Loading' })).toBe('the base model is being loaded');
  expect(modelText({ kind: 'Loading', doing: 'reading its files' })).toBe(
    'the base model is being loaded (reading its files)',
  );
  expect(modelText({ kind: 'Loading', failure: 'ENGINE_DOWN: it was killed' })).toBe(
    'the base model could not be loaded and is tried again: ENGINE_DOWN: it was killed',
  );
  expect(modelText({ kind: 'Ready' })).toBe('');
});

it('takes the rate over the last ten seconds', () => {
  const rate = new Rate();
  expect(rate.at(0, 0)).toBe(0);
  rate.add(0, 0);
  rate.add(1000, 1000);
  expect(rate.at(2000, 4000)).toBe(2000);
  rate.add(9000, 4000);
  // What came in the first second is forgotten.
  expect(rate.at(11_500, 4000)).toBe(0);
});
